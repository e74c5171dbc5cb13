/* What memory there is for a process, read from files that say so. */
#include "support.h"

#include <sys/stat.h>

#include "base/memory.h"

static char *folder;

static int set_up(void **state)
{
    (void)state;
    folder = make_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_folder(folder);
    return 0;
}

/* Writes a file below the folder, and what it lies in. */
static void say(const char *name, const char *text)
{
    char path[500];
    assert_true(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
    for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        mkdir(path, 0777);
        *slash = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int64_t available(const char *host)
{
    char proc[500], groups[500];
    snprintf(proc, sizeof proc, "%s/%s/proc", folder, host);
    snprintf(groups, sizeof groups, "%s/%s/cgroup", folder, host);
    return zo_memory_available_of(proc, groups);
}

static void the_least_of_all_limits_counts(void **state)
{
    (void)state;
    assert_int_equal(available("nowhere"), 0);
    say("a/proc/meminfo", "MemTotal:       8000 kB\nMemAvailable:   5000 kB\n");
    assert_int_equal(available("a"), 5000 * 1024);
    say("a/proc/self/cgroup", "0::/one/two\n");
    assert_int_equal(available("a"), 5000 * 1024); /* groups that nobody shows */
    say("a/cgroup/one/two/memory.max", "max\n");
    say("a/cgroup/one/two/memory.current", "1000000\n");
    assert_int_equal(available("a"), 5000 * 1024);
    say("a/cgroup/one/memory.max", "3000000\n");
    say("a/cgroup/one/memory.current", "1200000\n");
    assert_int_equal(available("a"), 1800000); /* the group around it */
    say("a/cgroup/one/memory.stat", "anon 5\ninactive_file 200000\n");
    assert_int_equal(available("a"), 2000000);
    say("a/cgroup/memory.max", "900\n"); /* more is taken than allowed */
    say("a/cgroup/memory.current", "1000\n");
    assert_int_equal(available("a"), 1);
}

static void groups_of_the_first_kind(void **state)
{
    (void)state;
    say("b/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/job/7\n1:name=systemd:/\n0::/\n");
    say("b/cgroup/memory/job/7/memory.limit_in_bytes", "9223372036854771712\n");
    say("b/cgroup/memory/job/7/memory.usage_in_bytes", "100\n");
    say("b/cgroup/memory/memory.limit_in_bytes", "70000\n");
    say("b/cgroup/memory/memory.usage_in_bytes", "30000\n");
    say("b/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 10000\n");
    assert_int_equal(available("b"), 50000);
}

static void the_machine_has_some(void **state)
{
    (void)state;
    assert_true(zo_memory_available() > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_of_all_limits_counts),
        cmocka_unit_test(groups_of_the_first_kind),
        cmocka_unit_test(the_machine_has_some),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
