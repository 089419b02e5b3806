// Package child starts processes that never outlive the one that started them.
// It knows nothing about what they do. A child gets its own process group, so
// that Ctrl-C in a terminal reaches only the supervisor, and, on Linux, a signal
// from the kernel when the supervisor dies, however it dies.
package child

import (
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starter is the one OS thread from which every child is started. The kernel
// sends the parent-death signal when the *thread* that started the child ends,
// and Go ends threads as it likes; this one is locked and never returns.
var starter = sync.OnceValue(func() chan<- request {
	requests := make(chan request)
	go func() {
		runtime.LockOSThread()
		for r := range requests {
			r.done <- r.cmd.Start()
		}
	}()
	return requests
})

type request struct {
	cmd  *exec.Cmd
	done chan error
}

// Start starts cmd in a process group of its own and arranges for the signal
// onDeath to reach it when this process is gone. The caller waits for cmd.
func Start(cmd *exec.Cmd, onDeath syscall.Signal) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	bindToParent(cmd.SysProcAttr, onDeath)
	r := request{cmd: cmd, done: make(chan error, 1)}
	starter() <- r
	return <-r.done
}

// Run is Start and Wait.
func Run(cmd *exec.Cmd) error {
	if err := Start(cmd, syscall.SIGKILL); err != nil {
		return err
	}
	return cmd.Wait()
}

// Alive says whether a process with this id exists, whoever owns it.
func Alive(pid int) bool {
	if pid <= 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// SignalGroup sends sig to the child and to whatever it started itself. It is
// no error when all of them are gone.
func SignalGroup(pid int, sig syscall.Signal) error {
	if pid <= 1 {
		return errors.New("no such child")
	}
	if err := syscall.Kill(-pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
