package child_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"guichet/internal/child"
)

// TestMain lets the test binary play a supervisor that is killed -9.
func TestMain(m *testing.M) {
	if os.Getenv("CHILD_TEST_SUPERVISOR") == "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("sleep", "600")
	if err := child.Start(cmd, syscall.SIGTERM); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(cmd.Process.Pid)
	_ = cmd.Wait()
}

func TestStart_childDiesWhenItsParentIsKilledNine(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	supervisor := exec.Command(self)
	supervisor.Env = append(os.Environ(), "CHILD_TEST_SUPERVISOR=1")
	out, err := supervisor.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := supervisor.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || !child.Alive(pid) {
		t.Fatalf("no child to watch: %q %v", line, err)
	}
	if err := supervisor.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = supervisor.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for child.Alive(pid) && !zombie(pid) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatal("the child outlived its parent")
		}
		time.Sleep(5 * time.Millisecond) // polling with a deadline
	}
}

// zombie says whether the process is dead and only waits to be collected.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func TestSignalGroup_reachesGrandchildren(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 600 & echo $!; wait")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(cmd, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	grandchild, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := child.SignalGroup(cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for child.Alive(grandchild) && !zombie(grandchild) {
		if time.Now().After(deadline) {
			t.Fatal("the grandchild is still there")
		}
		time.Sleep(5 * time.Millisecond) // polling with a deadline
	}
	if err := child.SignalGroup(cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Errorf("signalling those who are gone: %v", err)
	}
}

func TestAlive_knowsNobodyBelowOne(t *testing.T) {
	if child.Alive(0) || child.Alive(-1) {
		t.Error("0 and -1 are groups, not processes")
	}
	if !child.Alive(os.Getpid()) {
		t.Error("we are alive")
	}
}
