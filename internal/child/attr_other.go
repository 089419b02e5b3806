//go:build unix && !linux

package child

import "syscall"

// Only Linux can tie a child's life to its parent's; elsewhere a supervisor
// that is killed -9 leaves its children to the next start, which stops them.
func bindToParent(*syscall.SysProcAttr, syscall.Signal) {}
