/* What a child can do, well or badly, one mode for each test of process pools. Built without sanitizers and without
 * the library: limits of memory must mean what they say, and a crash must look like one.
 *
 *     child MODE [FOLDER]      items come on standard input; FOLDER remembers what was tried before
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char line[1 << 22];
static const char *mode, *folder;
static int served;

/* Reads a line byte by byte: nothing of the next one is taken. */
static int next_line(void)
{
    size_t n = 0;
    while (n + 1 < sizeof line && read(0, line + n, 1) == 1) {
        if (line[n++] == '\n') return line[n - 1] = 0, 1;
    }
    line[n] = 0;
    return n > 0;
}

static void say(const char *text)
{
    for (size_t n = strlen(text); n;) {
        ssize_t wrote = write(1, text, n);
        if (wrote <= 0) _exit(9);
        text += wrote;
        n -= (size_t)wrote;
    }
}

static void say_number(const char *form, double x)
{
    char text[64];
    snprintf(text, sizeof text, form, x);
    say(text);
}

/* Whether this is the first time that anybody meets `name`. */
static int first_time(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static void hang(void)
{
    for (;;) pause();
}

static void crash(const char *how)
{
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "segfault")) raise(SIGSEGV);
    if (!strcmp(how, "exit")) _exit(3);
}

/* Starts a process that holds all pipes open and ignores SIGTERM, and notes its number in FOLDER/grandchild. */
static void leave_grandchild(void)
{
    char path[4096], text[32];
    pid_t pid = fork();
    if (!pid) {
        signal(SIGTERM, SIG_IGN);
        hang();
    }
    snprintf(path, sizeof path, "%s/grandchild", folder);
    snprintf(text, sizeof text, "%ld", (long)pid);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) _exit(8);
    close(fd);
}

static void eat_memory(size_t megabytes)
{
    for (size_t i = 0; i < megabytes; i++) {
        char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) {
            fprintf(stderr, "no memory left\n");
            _exit(4);
        }
        *p = 1;
    }
}

static void write_much(const char *unit)
{
    static char block[1 << 16];
    size_t n = strlen(unit);
    for (size_t i = 0; i < sizeof block; i++) block[i] = unit[i % n];
    for (;;)
        if (write(1, block, sizeof block) <= 0) _exit(9);
}

/* What is wrong with one item; returns if the item is to be answered after all. */
static void misbehave(void)
{
    if (!strncmp(mode, "crash-", 6)) crash(mode + 6);
    if (!strncmp(mode, "once-", 5) && first_time(line)) crash(mode + 5);
    if (!strcmp(mode, "hang")) hang();
    if (!strcmp(mode, "hang-hard")) {
        signal(SIGTERM, SIG_IGN);
        leave_grandchild();
        hang();
    }
    if (!strcmp(mode, "hang-once") && first_time(line)) hang();
    if (!strcmp(mode, "half")) say("[1, "), _exit(0);
    if (!strcmp(mode, "silent")) _exit(0);
    if (!strcmp(mode, "endless")) write_much("7 ");
    if (!strcmp(mode, "endless-lines")) write_much("7\n");
    if (!strcmp(mode, "jitter")) usleep(*line == '-' ? 3000 : 0);
    if (!strcmp(mode, "memory")) eat_memory(512);
    if (!strcmp(mode, "two")) say("7\n8\n");
    if (!strcmp(mode, "hang-second") && served == 1 && first_time("second")) hang();
    if (!strcmp(mode, "no-output")) close(1), hang();
    if (!strcmp(mode, "background")) leave_grandchild();
    if (!strcmp(mode, "words")) {
        fprintf(stderr, "first\nthe tank is empty\n\n  \n");
        _exit(3);
    }
}

/* The answer: twice the first number of the item, plus one. */
static void answer(void)
{
    double x = 2 * strtod(line, NULL) + 1;
    if (!strcmp(mode, "json"))
        say_number("{\"note\": \"a \\\"NaN\\\"\", \"loss\": %.17g}\n", x);
    else if (!strcmp(mode, "three"))
        say_number("[0.5, -1e-3, %.17g]\n", x);
    else if (!strcmp(mode, "length"))
        say_number("%.0f\n", (double)strlen(line));
    else if (!strcmp(mode, "echo"))
        say(line), say("\n");
    else if (!strcmp(mode, "pid"))
        say_number("%.0f\n", (double)getpid());
    else if (!strcmp(mode, "limit")) {
        struct rlimit limit;
        getrlimit(RLIMIT_AS, &limit);
        say_number("%.0f\n", (double)limit.rlim_cur);
    } else
        say_number("%.17g\n", x);
}

/* Leaves FOLDER/left when its input ends: it was not killed. */
static void serve(void)
{
    while (next_line()) {
        misbehave();
        answer();
        served++;
        if (!strcmp(mode, "leave")) _exit(0);
        if (!strcmp(mode, "answer-exit")) _exit(3);
        if (!strcmp(mode, "one-then-close")) close(0), hang();
        if (!strcmp(mode, "late")) usleep(30000), say("99\n");
    }
    if (!strcmp(mode, "good") && folder) first_time("left");
    if (!strcmp(mode, "stays-on")) {
        signal(SIGTERM, SIG_IGN);
        hang();
    }
}

/* Open descriptors beyond the first three, blocked signals, an ignored SIGPIPE: what a child must not inherit. */
static int inherited(void)
{
    int n = 0;
    sigset_t blocked;
    for (int fd = 3; fd < 256; fd++) n += fcntl(fd, F_GETFD) >= 0;
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    for (int s = 1; s < 32; s++) n += 1000 * sigismember(&blocked, s);
    struct sigaction action;
    sigaction(SIGPIPE, NULL, &action);
    return n + 100000 * (action.sa_handler != SIG_DFL) + 1000000 * (getpgrp() != getpid());
}

int main(int argc, char **argv)
{
    mode = argc > 1 ? argv[1] : "good";
    folder = argc > 2 ? argv[2] : NULL;
    if (!strcmp(mode, "argument")) { /* child argument {x}: does not read at all */
        strncpy(line, argc > 2 ? argv[2] : "", sizeof line - 1);
        answer();
        return 0;
    }
    if (!strcmp(mode, "inherited")) {
        say_number("%.0f\n", inherited());
        return 0;
    }
    if (!strcmp(mode, "deaf")) hang();
    if (!strcmp(mode, "chatter")) say("1\n"), hang();
    if (!strcmp(mode, "slow-start")) usleep(400000);
    if (!strcmp(mode, "close-input")) close(0), hang();
    if (!strcmp(mode, "early")) eat_memory(64);
    if (!strcmp(mode, "grown")) eat_memory(64), say("1\n"), hang();
    serve();
    return 0;
}
