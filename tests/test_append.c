/* Files that grow at their end: what waits, what is written, who may write, and a disk that fails for a while. */
#include "support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/append.h"

static zo_context *ctx;
static char *folder;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    folder = make_folder();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_folder(folder);
    zo_context_destroy(ctx);
    return 0;
}

static zo_append opened(const char *path, size_t room)
{
    zo_append a;
    bool fresh;
    if (zo_append_open(&a, ctx, path, true, room, &fresh)) fail_msg("%s", zo_last_error(ctx));
    return a;
}

static void assert_holds(const char *path, const char *wanted)
{
    size_t size;
    char *bytes = get_file(path, &size);
    assert_int_equal(size, strlen(wanted));
    assert_memory_equal(bytes, wanted, size);
    free(bytes);
}

/* ---- bytes ---- */

static void bytes_wait_until_they_are_pushed(void **state)
{
    const char *path = in_folder(folder, "bytes");
    bool fresh;
    zo_append a;
    (void)state;
    assert_int_equal(zo_append_open(&a, ctx, path, false, 8, &fresh), ZO_NOT_FOUND);
    error_says(ctx, path, NULL);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(zo_append_open(&a, ctx, path, true, 8, &fresh), ZO_OK);
    assert_true(fresh);
    assert_true(zo_append_add(&a, "one,", 4));
    assert_holds(path, "");
    assert_int_equal(zo_append_push(&a), ZO_OK);
    assert_int_equal(zo_append_push(&a), ZO_OK); /* once is enough */
    assert_holds(path, "one,");
    char *to = zo_append_place(&a, 4);
    assert_non_null(to);
    memcpy(to, "two,", 4);
    assert_true(zo_append_add(&a, NULL, 4));
    assert_true(zo_append_add(&a, "", 0));
    assert_int_equal(zo_append_sync(&a), ZO_OK);
    assert_holds(path, "one,two,");
    zo_append_add(&a, "lost", 4);
    zo_append_close(&a); /* without writing */
    assert_int_equal(zo_append_open(&a, ctx, path, false, 8, &fresh), ZO_OK);
    assert_false(fresh);
    zo_append_add(&a, "three", 5);
    assert_int_equal(zo_append_push(&a), ZO_OK);
    assert_holds(path, "one,two,three");
    zo_append_close(&a);
    zo_append_close(&a);
    zo_append_close(&(zo_append){0});
}

/* What does not fit beside what waits is written at once; what never fits is refused, and nothing else is lost. */
static void room_is_made_by_writing(void **state)
{
    const char *path = in_folder(folder, "room");
    (void)state;
    zo_append a = opened(path, 8);
    assert_true(zo_append_add(&a, "12345", 5));
    assert_true(zo_append_add(&a, "678", 3)); /* the room is full to the last byte */
    assert_holds(path, "");
    assert_true(zo_append_add(&a, "9abc", 4));
    assert_holds(path, "12345678");
    assert_false(zo_append_add(&a, "too long!", 9));
    assert_null(zo_append_place(&a, 9));
    assert_null(zo_append_place(&a, SIZE_MAX));
    assert_true(zo_append_add(&a, "defghijk", 8)); /* as large as the room */
    assert_int_equal(zo_append_push(&a), ZO_OK);
    assert_holds(path, "123456789abcdefghijk");
    zo_append_close(&a);
}

static void files_are_cut(void **state)
{
    const char *path = in_folder(folder, "cut");
    (void)state;
    put_file(path, "0123456789", 10);
    zo_append a = opened(path, 8);
    zo_append_add(&a, "forget", 6);
    assert_int_equal(zo_append_cut(&a, 4), ZO_OK);
    assert_holds(path, "0123");
    zo_append_add(&a, "new", 3);
    assert_int_equal(zo_append_sync(&a), ZO_OK);
    assert_holds(path, "0123new");
    assert_int_equal(zo_append_cut(&a, 0), ZO_OK);
    assert_int_equal(zo_append_push(&a), ZO_OK);
    assert_holds(path, "");
    zo_append_close(&a);
}

static void refuse(const char *path, bool make, zo_status wanted)
{
    zo_append a;
    bool fresh;
    zo_status status = zo_append_open(&a, ctx, path, make, 8, &fresh);
    if (status != wanted) fail_msg("%s: %s", path, zo_status_name(status));
    error_says(ctx, path, NULL);
    zo_append_close(&a); /* legal after a failure */
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    refuse(in_folder(folder, "none/file"), true, ZO_NOT_FOUND);
    refuse(folder, true, ZO_IO);
    if (!access("/dev/full", W_OK)) refuse("/dev/full", false, ZO_FORMAT);
    assert_false(zo_append_busy(in_folder(folder, "none")));
    assert_false(zo_append_busy(folder));
}

static zo_status open_and_add(zo_context *c, void *arg)
{
    zo_append a;
    bool fresh;
    zo_status status = zo_append_open(&a, c, arg, true, 100, &fresh);
    if (!status) status = zo_append_add(&a, "x", 1) ? zo_append_sync(&a) : ZO_NO_MEMORY;
    zo_append_close(&a);
    return status;
}

static void refused_memory_is_survived(void **state)
{
    char path[4096];
    (void)state;
    snprintf(path, sizeof path, "%s/memory", folder);
    assert_true(refuse_each(open_and_add, path) >= 2);
    assert_false(zo_append_busy(path));
    assert_holds(path, "x"); /* of the one time that it worked */
}

/* ---- one writer ---- */

static void a_second_handle_is_kept_out(void **state)
{
    const char *path = in_folder(folder, "locked");
    zo_append b;
    bool fresh;
    (void)state;
    assert_false(zo_append_busy(path));
    zo_append a = opened(path, 8);
    assert_true(zo_append_busy(path));
    assert_int_equal(zo_append_open(&b, ctx, path, true, 8, &fresh), ZO_BUSY);
    error_says(ctx, path, "another process", NULL);
    int fd = open(path, O_RDONLY); /* as the host may: POSIX's locks would end with this */
    close(fd);
    assert_true(zo_append_busy(path));
    zo_append_add(&a, "a", 1);
    assert_int_equal(zo_append_push(&a), ZO_OK);
    zo_append_close(&a);
    assert_false(zo_append_busy(path));
    b = opened(path, 8);
    zo_append_close(&b);
}

/* A lock belongs to a file, not to a name: what was removed is not held. */
static void a_removed_file_is_nobodys(void **state)
{
    const char *path = in_folder(folder, "removed");
    (void)state;
    zo_append a = opened(path, 8);
    assert_int_equal(unlink(path), 0);
    zo_append b = opened(path, 8);
    zo_append_add(&a, "a", 1);
    zo_append_add(&b, "b", 1);
    assert_int_equal(zo_append_push(&a), ZO_OK);
    assert_int_equal(zo_append_push(&b), ZO_OK);
    assert_holds(path, "b");
    zo_append_close(&a);
    assert_true(zo_append_busy(path));
    zo_append_close(&b);
}

static void end(pid_t child)
{
    int status;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
}

/* A child that runs body(path), then says so and waits to be ended. */
static pid_t start(int (*body)(const char *path), const char *path)
{
    int ready[2];
    char byte = 1;
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        byte = (char)body(path);
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        for (;;) pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    if (byte) end(child);
    assert_int_equal(byte, 0);
    return child;
}

static int hold(const char *path)
{
    static zo_append a;
    bool fresh;
    return zo_append_open(&a, ctx, path, true, 8, &fresh) != ZO_OK;
}

static int be_refused(const char *path)
{
    zo_append a;
    bool fresh;
    return !zo_append_busy(path) || zo_append_open(&a, ctx, path, true, 8, &fresh) != ZO_BUSY;
}

static void a_second_process_is_kept_out(void **state)
{
    const char *path = in_folder(folder, "processes");
    (void)state;
    zo_append b;
    bool fresh;
    pid_t child = start(hold, path);
    assert_true(zo_append_busy(path));
    assert_int_equal(zo_append_open(&b, ctx, path, true, 8, &fresh), ZO_BUSY);
    end(child); /* kill -9: the lock dies with its owner */
    assert_false(zo_append_busy(path));
    zo_append a = opened(path, 8);
    end(start(be_refused, path));
    assert_true(zo_append_busy(path));
    zo_append_close(&a);
}

/* Opens the file and removes it while it holds it, again and again. */
static int remove_again_and_again(const char *path)
{
    zo_append a;
    bool fresh;
    for (int i = 0; i < 100000; i++) {
        if (zo_append_open(&a, ctx, path, true, 8, &fresh)) continue;
        unlink(path);
        zo_append_close(&a);
    }
    return 0;
}

/* Who waits for a lock while its holder removes the file does not end up with a file that has no name. */
static void a_file_that_is_opened_is_there(void **state)
{
    const char *path = in_folder(folder, "race");
    int mine = 0;
    (void)state;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(remove_again_and_again(path));
    }
    for (int i = 0; i < 20000 && mine < 2000; i++) {
        zo_append a;
        bool fresh;
        struct stat held, named;
        if (zo_append_open(&a, ctx, path, true, 8, &fresh)) continue;
        mine++;
        int missing = fstat(a.fd, &held) || stat(path, &named) || held.st_ino != named.st_ino;
        zo_append_close(&a);
        if (missing) {
            end(child);
            fail_msg("a file without a name was locked");
        }
    }
    end(child);
    assert_true(mine > 0);
}

/* ---- a disk that fails ---- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
}

#define DEMAND(x)                                                                                  \
    if (!(x)) return __LINE__ % 251 + 1;

/* Room for 30 bytes, of which 10 can be written: what waits goes on waiting, whole and in order, and is written when there is space. */
static int fail_for_a_while(const char *path)
{
    static zo_append a;
    bool fresh;
    signal(SIGXFSZ, SIG_IGN);
    DEMAND(!zo_append_open(&a, ctx, path, true, 30, &fresh));
    DEMAND(zo_append_add(&a, "01234", 5) && !zo_append_push(&a));
    limit_files(10);
    DEMAND(zo_append_add(&a, "abcdefgh", 8));
    DEMAND(zo_append_push(&a) == ZO_IO && strstr(zo_last_error(ctx), path));
    DEMAND(zo_append_sync(&a) == ZO_IO);
    DEMAND(a.size == 5);
    DEMAND(zo_append_add(&a, "ijklmnopqrstuvwxyz", 18)); /* 26 wait */
    DEMAND(!zo_append_add(&a, "LOST!", 5));
    DEMAND(zo_append_place(&a, 5) == NULL);
    DEMAND(zo_append_add(&a, "ABCD", 4)); /* what fits is taken all the same */
    DEMAND(!zo_append_add(&a, "L", 1) && zo_append_push(&a) == ZO_IO);
    limit_files(12); /* a little more, not enough */
    DEMAND(zo_append_push(&a) == ZO_IO);
    limit_files(RLIM_INFINITY);
    DEMAND(zo_append_add(&a, "EFG", 3)); /* makes room by writing */
    DEMAND(!zo_append_sync(&a));
    return 0;
}

static void a_failing_disk_loses_nothing_that_waits(void **state)
{
    const char *path = in_folder(folder, "failing");
    (void)state;
    end(start(fail_for_a_while, path));
    assert_holds(path, "01234abcdefghijklmnopqrstuvwxyzABCDEFG");
}

/* What a failed write left lies behind the end as far as the next attempt goes. */
static int fail_and_cut(const char *path)
{
    static zo_append a;
    bool fresh;
    signal(SIGXFSZ, SIG_IGN);
    DEMAND(!zo_append_open(&a, ctx, path, true, 30, &fresh));
    DEMAND(zo_append_add(&a, "01234", 5) && !zo_append_push(&a));
    limit_files(10);
    DEMAND(zo_append_add(&a, "abcdefgh", 8) && zo_append_push(&a) == ZO_IO);
    DEMAND(!zo_append_cut(&a, 3));
    DEMAND(zo_append_add(&a, "xyz", 3) && !zo_append_push(&a)); /* as far as there is space */
    return 0;
}

static void a_failing_file_can_be_cut(void **state)
{
    const char *path = in_folder(folder, "failing-cut");
    (void)state;
    end(start(fail_and_cut, path));
    assert_holds(path, "012xyz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_wait_until_they_are_pushed),
        cmocka_unit_test(room_is_made_by_writing),
        cmocka_unit_test(files_are_cut),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(refused_memory_is_survived),
        cmocka_unit_test(a_second_handle_is_kept_out),
        cmocka_unit_test(a_removed_file_is_nobodys),
        cmocka_unit_test(a_second_process_is_kept_out),
        cmocka_unit_test(a_file_that_is_opened_is_there),
        cmocka_unit_test(a_failing_disk_loses_nothing_that_waits),
        cmocka_unit_test(a_failing_file_can_be_cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
