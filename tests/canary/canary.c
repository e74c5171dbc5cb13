/* A program with faults on purpose: canary overflow|undefined|leak|race. A sanitizer build must
 * catch the one that is asked for; without sanitizers it ends with status 0. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile int sink;
static int shared;

static void overflow(void)
{
    volatile size_t n = 16;
    char *p = calloc(n, 1);
    if (p) sink = ((volatile char *)p)[n];
    free(p);
}

static void undefined(void)
{
    volatile int large = INT_MAX;
    sink = large + 1;
}

static void leak(void)
{
    void *volatile p = malloc(64);
    sink = p != NULL;
    p = NULL;
}

static void *count(void *arg)
{
    for (int i = 0; i < 100000; i++) shared++;
    return arg;
}

static void race(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, count, NULL)) return;
    count(NULL);
    pthread_join(thread, NULL);
    sink = shared;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*fault)(void);
    } faults[] = {{"overflow", overflow}, {"undefined", undefined}, {"leak", leak}, {"race", race}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (argc == 2 && !strcmp(argv[1], faults[i].name)) {
            faults[i].fault();
            return 0;
        }
    fprintf(stderr, "usage: canary overflow|undefined|leak|race\n");
    return 2;
}
