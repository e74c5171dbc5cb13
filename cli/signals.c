/* What signals ask for reaches the library as a flag on its context. */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "cli.h"
#include "progress.h"

static _Atomic(zo_context *) running;
static volatile sig_atomic_t asked;

static void on_stop(int number)
{
    int before = errno;
    zo_context *ctx = atomic_load(&running);
    /* A terminal that goes away sends SIGHUP more than once, by the kernel and by the shell: that must not cut the saving
     * short. */
    bool impatient = asked && number != SIGHUP;
    if (impatient || !ctx) {
        cli_progress_wipe();
        _exit(CLI_STOPPED);
    }
    asked = 1;
    zo_cancel(ctx);
    cli_progress_stopping();
    errno = before;
}

static void on_save(int number)
{
    (void)number;
    zo_context *ctx = atomic_load(&running);
    if (ctx) zo_checkpoint(ctx);
}

static void watch(int number)
{
    struct sigaction old, act = {.sa_handler = on_stop, .sa_flags = SA_RESTART};
    sigemptyset(&act.sa_mask);
    /* A process started in the background ignores SIGINT, one started by nohup SIGHUP, and should go
     * on doing so. */
    if (!sigaction(number, NULL, &old) && old.sa_handler != SIG_IGN) sigaction(number, &act, NULL);
}

void cli_start_signals(void)
{
    struct sigaction act = {.sa_handler = on_save, .sa_flags = SA_RESTART};
    sigemptyset(&act.sa_mask);
    sigaction(SIGUSR1, &act, NULL);
    signal(SIGPIPE, SIG_IGN); /* a reader that leaves is an error of a write, not a crash */
}

void cli_catch_signals(zo_context *ctx)
{
    atomic_store(&running, ctx);
    watch(SIGINT);
    watch(SIGTERM);
    watch(SIGHUP); /* the terminal or the connection is gone */
}

void cli_release_signals(void) { atomic_store(&running, NULL); }
