#define _GNU_SOURCE

#include "CReadline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { maximum_signals = 8 };

// The handlers touch these and write(2) alone, all of which are allowed in a handler.
static atomic_int prompt_descriptor = -1;
static atomic_int interrupt_descriptor = -1;

static struct sigaction previous[maximum_signals];
static int installed[maximum_signals];
static int installed_count = 0;
static struct sigaction previous_interrupt;

static void send_byte(int descriptor, int number) {
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    // A full pipe has enough to wake the reader.
    if (descriptor >= 0 && write(descriptor, &byte, 1) < 0) { }
    errno = saved;
}

static void on_prompt_signal(int number) { send_byte(atomic_load(&prompt_descriptor), number); }
static void on_interrupt(int number) { send_byte(atomic_load(&interrupt_descriptor), number); }

bool signal_pipe_create(int ends[2], bool reads_block) {
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
    if (reads_block) fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) & ~O_NONBLOCK);
    return true;
}

bool signal_pipe_install(int write_descriptor, const int *signals, int count) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_prompt_signal;
    sigemptyset(&action.sa_mask);
    atomic_store(&prompt_descriptor, write_descriptor);
    installed_count = 0;
    for (int i = 0; i < count && i < maximum_signals; i++) {
        if (sigaction(signals[i], &action, &previous[i]) != 0) {
            signal_pipe_restore();
            return false;
        }
        installed[installed_count++] = signals[i];
    }
    return true;
}

void signal_pipe_restore(void) {
    for (int i = 0; i < installed_count; i++) sigaction(installed[i], &previous[i], NULL);
    installed_count = 0;
    atomic_store(&prompt_descriptor, -1);
}

bool interrupt_pipe_install(int write_descriptor) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    atomic_store(&interrupt_descriptor, write_descriptor);
    return sigaction(SIGINT, &action, &previous_interrupt) == 0;
}

void interrupt_pipe_restore(void) {
    sigaction(SIGINT, &previous_interrupt, NULL);
    atomic_store(&interrupt_descriptor, -1);
}

void die_by_signal(int signal_number) {
    sigset_t set;
    signal(signal_number, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signal_number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(signal_number);
    _exit(128 + signal_number);
}
