#ifndef CPROCESS_H
#define CPROCESS_H

#include <stdint.h>
#include <sys/types.h>

// What the launcher of local processes needs of Linux and Swift's Glibc module lacks.

/// Starts `program` in a session of its own, in "/", with standard input from /dev/null, standard output and error to
/// `log`, no other open file, no signal blocked or ignored. Returns 0 or the number of the error; then there is no process.
/// `arguments` and `environment` end with a null pointer.
int pbctl_spawn(
    pid_t *pid, const char *program, char *const *arguments, char *const *environment, int log);

/// A descriptor that becomes readable when the process ends; -1 with errno where there is none (ENOSYS: old kernel).
int pbctl_pidfd_open(pid_t pid);

/// Sends a signal to the very process that a descriptor stands for; -1 with errno.
int pbctl_pidfd_signal(int descriptor, int signal);

/// A counter to wake a `poll`: write adds, read takes all. Neither blocks. -1 with errno.
int pbctl_wake_descriptor(void);

/// The environment of this process, as `environ`.
char *const *pbctl_environment(void);

/// Gives the first `length` bytes of a file back to the disk. Its size and all offsets stay; what was there reads as zeros.
/// -1 with errno (EOPNOTSUPP: the file system can't).
int pbctl_free_beginning(int file, int64_t length);

/// First offset from `offset` on that isn't in a hole; -1 with errno (ENXIO: none).
int64_t pbctl_next_data(int file, int64_t offset);

#endif
