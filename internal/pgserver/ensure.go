package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"guichet/internal/child"
)

// Ensure finds PostgreSQL and, when it is missing and this is root on a system
// with apt-get, installs it. Anywhere else the error names the one command.
// progress is told what happens, one line at a time.
func Ensure(ctx context.Context, progress func(line string)) (Binaries, error) {
	found, err := Find()
	if err == nil || !errors.Is(err, ErrNotInstalled) {
		return found, err
	}
	if os.Geteuid() != 0 {
		return Binaries{}, err
	}
	apt, lookErr := exec.LookPath("apt-get")
	if lookErr != nil {
		return Binaries{}, err
	}
	progress("PostgreSQL is missing: installing it with apt-get install -y postgresql")
	install := []string{"install", "-y", "--no-install-recommends", "postgresql"}
	if aptErr := runApt(ctx, apt, install); aptErr != nil {
		progress("refreshing the package lists first")
		if aptErr = runApt(ctx, apt, []string{"update"}); aptErr == nil {
			aptErr = runApt(ctx, apt, install)
		}
		if aptErr != nil {
			return Binaries{}, fmt.Errorf("%w (apt-get tried: %w)", err, aptErr)
		}
	}
	progress("PostgreSQL is installed")
	return Find()
}

func runApt(ctx context.Context, apt string, args []string) error {
	cmd := exec.CommandContext(ctx, apt, args...) //nolint:gosec // the apt-get of the PATH, with arguments of ours
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := child.Run(cmd); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", strings.Join(args, " "), err, out.lastLines(3))
	}
	return nil
}
