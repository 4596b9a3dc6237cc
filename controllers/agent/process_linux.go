// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// endWithAgent stops a program when its agent is killed. The next agent runs the step again, and two must not run at once.
func endWithAgent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGTERM }

// dropPrivileges keeps the programs that this thread starts from getting privileges by running a set-user-ID program.
func dropPrivileges() error {
	return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
}

// firstFile is the first descriptor after those of the input, the output and the errors.
const firstFile = 3

// closeOnExec keeps programs from inheriting files that the agent itself inherited. The agent's own are marked as they are opened.
func closeOnExec() error {
	err := unix.CloseRange(firstFile, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
		return os.NewSyscallError("close_range", err)
	}
	entries, err := os.ReadDir("/proc/self/fd") // Linux before 5.11, or a container that forbids the call
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd >= firstFile {
			unix.CloseOnExec(fd)
		}
	}
	return err
}

// awaitExit waits until the process has exited and leaves it to the result to reap it. Until then no other process gets its number.
func awaitExit(cmd *exec.Cmd) (reap func() error) {
	for errors.Is(unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil), unix.EINTR) {
	}
	return cmd.Wait
}
