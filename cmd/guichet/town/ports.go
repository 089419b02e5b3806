package town

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Ports are the addresses of a town, as distances from the router's port. With
// the router on 8080 they are the ones of the documents: control plane 8090,
// sandbox 8095, mails 8096 and 8097, operators at the router 8098, issuer 8099, cells 8101…, a cell's second process 8111…,
// the hub's leaves 4291, databases 5501…, private addresses: router 9080, control plane 9090, cells 9101…
type ports struct{ base int }

const (
	defaultBase = 8080
	maxBasePort = 50000
	rowOfTen    = 10
)

func (p ports) router() int         { return p.base }
func (p ports) controlPlane() int   { return p.base + 10 }
func (p ports) sandbox() int        { return p.base + 15 }
func (p ports) mail() int           { return p.base + 16 }
func (p ports) smtp() int           { return p.base + 17 }
func (p ports) routerOperator() int { return p.base + 18 }
func (p ports) identity() int       { return p.base + 19 }

// cell is the HTTP port of the instance'th process (from 0) of the i'th cell.
func (p ports) cell(i, instance int) int { return p.base + 21 + i + rowOfTen*instance }

// The hub's leaves and the databases have rows of their own: below the router's in
// the default town, above it in every other, where the rows of two towns must not
// meet. Neither the hub nor a leaf has a port for clients.
func (p ports) hubLeaf() int       { return p.row(4291, 102) }
func (p ports) database(i int) int { return p.row(5501, 121) + i } // the control plane's comes after the cells'

// node is the port of the n'th node (from 0) of the i'th database, console that of its first node's pages.
func (p ports) node(i, n int) int { return p.database(i) + []int{0, 10, 30}[n] }
func (p ports) console(i int) int { return p.database(i) + 20 }

// Private addresses tell metrics and readiness; a cell's are laid out as its HTTP ports.
func (p ports) routerPrivate() int       { return p.row(9080, 161) }
func (p ports) controlPlanePrivate() int { return p.row(9090, 162) }
func (p ports) cellPrivate(i, instance int) int {
	return p.row(9101, 171) + i + rowOfTen*instance
}

func (p ports) row(usual, distance int) int {
	if p.base == defaultBase {
		return usual
	}
	return p.base + distance
}

// span is how many ports from base on a town that is not the default one uses.
const span = 260

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func listen(ctx context.Context, address string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}

func httpURL(port int) string { return "http://" + local(port) }

func httpsURL(port int) string { return "https://" + local(port) }

// portUser is a port that a town needs, and for whom.
type portUser struct {
	port int
	name string
}

// errPortBusy marks a port that somebody else has.
var errPortBusy = errors.New("port is in use")

// checkPorts names every port that is taken. Processes of a town that was just
// killed get a moment to leave.
func checkPorts(ctx context.Context, needed []portUser, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		err := busyPorts(ctx, needed)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func busyPorts(ctx context.Context, needed []portUser) error {
	var faults []error
	for _, n := range needed {
		l, err := listen(ctx, local(n.port))
		if err == nil {
			err = l.Close()
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%w: %d, needed for %s, is taken by %s", errPortBusy, n.port, n.name, whoListens(n.port)))
		}
	}
	return errors.Join(faults...)
}

// freeBase finds a range in which a whole town fits, below the ports that the
// kernel gives to outgoing connections.
func freeBase(ctx context.Context) (int, error) {
	const ranges = 76
	start := 12000 + os.Getpid()%ranges*span
	for i := range ranges {
		base := 12000 + (start-12000+i*span)%(ranges*span)
		if rangeIsFree(ctx, base) {
			return base, nil
		}
	}
	return 0, fmt.Errorf("no range of %d free ports found", span)
}

func rangeIsFree(ctx context.Context, base int) bool {
	for port := base; port < base+span; port++ {
		l, err := listen(ctx, local(port))
		if err != nil {
			return false
		}
		if l.Close() != nil {
			return false
		}
	}
	return true
}

// whoListens names the process on a port as well as /proc tells.
func whoListens(port int) string {
	inodes := listeningInodes(port)
	if len(inodes) == 0 {
		return "another process"
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is well-formed
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		cmdline, err := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		if err != nil {
			return "pid " + pid
		}
		words := strings.TrimSpace(strings.ReplaceAll(string(cmdline), "\x00", " "))
		if len(words) > 80 {
			words = words[:80] + "…"
		}
		return fmt.Sprintf("pid %s (%s)", pid, words)
	}
	return "another user's process"
}

// listeningInodes are the sockets in state LISTEN on a port, as fd links spell them.
func listeningInodes(port int) map[string]bool {
	const stateListen = "0A"
	found := map[string]bool{}
	suffix := fmt.Sprintf(":%04X", port)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		raw, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(raw)) {
			f := strings.Fields(line)
			if len(f) > 9 && strings.HasSuffix(f[1], suffix) && f[3] == stateListen {
				found["socket:["+f[9]+"]"] = true
			}
		}
	}
	return found
}
