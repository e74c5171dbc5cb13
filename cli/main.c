/* zeroth: the command. It sees the library through its public headers only. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "output.h"

const cli_command *const cli_commands[] = {&cli_train,        &cli_resume, &cli_predict,
                                           &cli_show,         &cli_verify, &cli_export,
                                           &cli_list_classes, &cli_doctor, NULL};

/* Without this a file opened later could become the missing stdout or stderr. */
static void open_missing_streams(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0) return;
    }
}

static const cli_command *find(const char *name)
{
    for (const cli_command *const *c = cli_commands; *c; c++) {
        if (!strcmp((*c)->name, name)) return *c;
    }
    return NULL;
}

static const char *command_name(const void *unused, int i)
{
    (void)unused;
    static const char *const more[] = {"help", NULL};
    int n = 0;
    while (cli_commands[n]) n++;
    return i < n ? cli_commands[i]->name : more[i - n];
}

static int unknown(const char *name)
{
    const char *near = cli_nearest(name, command_name, NULL);
    if (*name == '-')
        return cli_fail(CLI_USAGE, "unknown option %s: 'zeroth help' shows the commands", name);
    if (near) return cli_fail(CLI_USAGE, "unknown command \"%s\": did you mean %s?", name, near);
    return cli_fail(CLI_USAGE, "unknown command \"%s\": 'zeroth help' shows them", name);
}

static int help(int argc, char **argv)
{
    const cli_command *c = argc ? find(argv[0]) : NULL;
    if (argc && !c && strcmp(argv[0], "help") != 0) return unknown(argv[0]);
    cli_help(stdout, c);
    return CLI_DONE;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return true;
    }
    return false;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        cli_help_short(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--version")) return printf("zeroth %s\n", zo_version()), CLI_DONE;
    if (!strcmp(name, "help")) return help(argc - 2, argv + 2);
    if (!strcmp(name, "--help") || !strcmp(name, "-h")) return help(0, NULL);
    const cli_command *c = find(name);
    if (!c) return unknown(name);
    if (!asks_for_help(argc - 2, argv + 2)) return c->run(argc - 2, argv + 2);
    cli_help(stdout, c);
    return CLI_DONE;
}

int main(int argc, char **argv)
{
    cli_seconds();
    open_missing_streams();
    cli_start_signals();
    return cli_stdout_close(dispatch(argc, argv));
}
