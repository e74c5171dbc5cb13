/* Files that are whole or not there, folders, buffers, checksums. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <xxhash.h>

#include "base/files.h"

#define NOBODY 65534

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

/* ---- reading ---- */

static void assert_reads(const char *path, const void *wanted, size_t n, size_t most)
{
    char *data;
    size_t size;
    if (zo_file_read(ctx, path, most, &data, &size)) fail_msg("%s", zo_last_error(ctx));
    assert_int_equal(size, n);
    assert_memory_equal(data, wanted, n);
    assert_int_equal(data[n], 0);
    zo_free(ctx, data);
}

static void files_are_read_whole(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 4095, 4096, 65536, 65537, 200001};
    static char bytes[200001];
    const char *path = in_folder(folder, "file");
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        put_file(path, bytes, sizes[i]);
        assert_reads(path, bytes, sizes[i], sizes[i]);
        assert_reads(path, bytes, sizes[i], SIZE_MAX / 4);
    }
}

static void refuse_read(const char *path, size_t most, zo_status wanted, const char *says)
{
    char *data = (char *)&data;
    size_t size = 1;
    assert_int_equal(zo_file_read(ctx, path, most, &data, &size), wanted);
    assert_null(data);
    assert_int_equal(size, 0);
    error_says(ctx, path, says, NULL);
}

static void unreadable_files_are_refused(void **state)
{
    const char *path = in_folder(folder, "file");
    (void)state;
    put_file(path, "0123456789", 10);
    refuse_read(path, 9, ZO_FORMAT, "9 bytes");
    refuse_read(path, 0, ZO_FORMAT, "0 bytes");
    refuse_read(in_folder(folder, "none"), 100, ZO_NOT_FOUND, "cannot open");
    refuse_read(folder, 100, ZO_FORMAT, "folder");
    refuse_read(in_folder(folder, "file/below"), 100, ZO_IO, "cannot open");
}

/* A child that writes n bytes to a pipe in small pieces. */
static pid_t feed(const char *path, size_t n)
{
    fflush(NULL);
    pid_t child = fork();
    if (child) return child;
    int fd = open(path, O_WRONLY);
    for (size_t i = 0; i < n; i++) {
        char c = (char)('a' + i % 26);
        if (write(fd, &c, 1) != 1) _exit(1);
        if (i % 997 == 0) usleep(200);
    }
    _exit(0);
}

static void pipes_are_read_to_their_end(void **state)
{
    static const size_t sizes[] = {0, 1, 70000};
    static char wanted[70000];
    const char *path = in_folder(folder, "pipe");
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; i < sizeof wanted; i++) wanted[i] = (char)('a' + i % 26);
    assert_int_equal(mkfifo(path, 0600), 0);
    for (size_t i = 0; i < 3; i++) {
        pid_t child = feed(path, sizes[i]);
        assert_reads(path, wanted, sizes[i], 70000);
        waitpid(child, NULL, 0);
    }
    pid_t child = feed(path, 300);
    refuse_read(path, 200, ZO_FORMAT, "200 bytes");
    waitpid(child, NULL, 0);
}

static zo_status read_pipe(zo_context *c, void *arg)
{
    char *data;
    size_t size;
    pid_t child = feed(arg, 66000);
    zo_status status = zo_file_read(c, arg, 1 << 20, &data, &size);
    zo_free(c, data);
    waitpid(child, NULL, 0);
    return status;
}

static void reading_survives_refused_memory(void **state)
{
    char path[4096];
    (void)state;
    snprintf(path, sizeof path, "%s/pipe2", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(refuse_each(read_pipe, path) >= 2); /* a first buffer and a larger one */
}

/* ---- writing ---- */

static void writing_replaces(void **state)
{
    const char *path = in_folder(folder, "written");
    char long_name[300];
    (void)state;
    int before = entries(folder);
    assert_int_equal(zo_file_write(ctx, path, "old content", 11), ZO_OK);
    assert_int_equal(zo_file_write(ctx, path, "new", 3), ZO_OK);
    assert_reads(path, "new", 3, 100);
    assert_int_equal(zo_file_write(ctx, path, NULL, 0), ZO_OK);
    assert_reads(path, "", 0, 100);
    assert_int_equal(entries(folder), before + 1);
    assert_int_equal(zo_file_write(ctx, in_folder(folder, "no/such/file"), "x", 1), ZO_IO);
    error_says(ctx, "no/such/file", "cannot write", NULL);
    assert_int_equal(zo_file_write(ctx, folder, "x", 1), ZO_IO); /* a folder is in the way */
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = 0;
    assert_int_equal(zo_file_write(ctx, in_folder(folder, long_name), "x", 1), ZO_IO);
    assert_int_equal(entries(folder), before + 1);
}

/* Runs a write that must fail as IO in a child; 0 if it did. */
static int failing_write(void (*prepare)(void), const char *path, size_t n)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        char *bytes = calloc(n, 1);
        prepare();
        zo_status status = zo_file_write(ctx, path, bytes, n);
        free(bytes);
        _exit(status != ZO_IO ? 1 : strstr(zo_last_error(ctx), path) ? 0 : 2);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void limit_size(void)
{
    struct rlimit limit = {10000, 10000};
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void become_nobody(void)
{
    if (!geteuid() && seteuid(NOBODY)) _exit(3);
}

static void failed_writing_leaves_what_was_there(void **state)
{
    char closed[4096], path[4200];
    (void)state;
    snprintf(closed, sizeof closed, "%s/closed", folder);
    snprintf(path, sizeof path, "%s/file", closed);
    assert_int_equal(mkdir(closed, 0755), 0);
    put_file(path, "precious", 8);
    assert_int_equal(failing_write(limit_size, path, 50000), 0);
    assert_reads(path, "precious", 8, 100);
    assert_int_equal(entries(closed), 1);
    chmod(folder, 0755); /* others may look, and not write */
    chmod(closed, 0555);
    assert_int_equal(failing_write(become_nobody, path, 10), 0);
    assert_reads(path, "precious", 8, 100);
    chmod(closed, 0755);
    assert_int_equal(entries(closed), 1);
}

/* ---- pieces ---- */

/* Pieces of these sizes, then a checksum of them all; what must be in the file is left in `wanted`, its size is returned. */
static size_t write_pieces(zo_file_out *f, char *wanted)
{
    static const size_t sizes[] = {1, 0, 100, 16283, 16384, 16385, 7, 40000, 16383};
    size_t n = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (size_t k = 0; k < sizes[i]; k++) wanted[n + k] = (char)((n + k) * 11 + i);
        zo_file_out_add(f, wanted + n, sizes[i]);
        n += sizes[i];
    }
    uint64_t sum = XXH3_64bits(wanted, n);
    memcpy(wanted + n, &sum, sizeof sum);
    return n + sizeof sum;
}

static void files_are_written_in_pieces(void **state)
{
    static char wanted[120000];
    const char *path = in_folder(folder, "pieces");
    zo_file_out f;
    (void)state;
    int before = entries(folder);
    assert_int_equal(zo_file_out_open(&f, ctx, path), ZO_OK);
    size_t n = write_pieces(&f, wanted);
    zo_file_out_add_sum(&f);
    assert_int_not_equal(access(path, F_OK), 0); /* not before it is whole */
    assert_int_equal(zo_file_out_close(&f, NULL), ZO_OK);
    zo_file_out_drop(&f); /* nothing is left to drop */
    assert_reads(path, wanted, n, 120000);
    assert_int_equal(entries(folder), before + 1);
    zo_file_out_sum_only(&f, ctx);
    n = write_pieces(&f, wanted);
    assert_true(zo_file_out_digest(&f) == XXH3_64bits(wanted, n - 8));
    assert_int_equal(entries(folder), before + 1);
}

static zo_status put_piece(const char *path, const char *previous, const char *text)
{
    zo_file_out f;
    assert_int_equal(zo_file_out_open(&f, ctx, path), ZO_OK);
    zo_file_out_add(&f, text, strlen(text));
    zo_status status = zo_file_out_close(&f, previous);
    zo_file_out_drop(&f);
    return status;
}

static void the_file_before_is_kept(void **state)
{
    const char *path = in_folder(folder, "now"), *previous = in_folder(folder, "before");
    zo_file_out f;
    (void)state;
    assert_int_equal(put_piece(path, previous, "one"), ZO_OK);
    assert_int_not_equal(access(previous, F_OK), 0);
    assert_int_equal(put_piece(path, previous, "two"), ZO_OK);
    assert_reads(previous, "one", 3, 100);
    assert_int_equal(put_piece(path, previous, "three"), ZO_OK);
    assert_reads(previous, "two", 3, 100);
    int before = entries(folder);
    assert_int_equal(zo_file_out_open(&f, ctx, path), ZO_OK);
    zo_file_out_add(&f, "four", 4);
    zo_file_out_drop(&f);
    assert_int_equal(entries(folder), before);
    assert_reads(path, "three", 5, 100);
    assert_int_equal(zo_file_out_open(&f, ctx, in_folder(folder, "no/where")), ZO_IO);
    zo_file_out_add(&f, "five", 4);
    zo_file_out_drop(&f); /* legal, and nothing */
}

static void what_cannot_be_written_replaces_nothing(void **state)
{
    static const char bytes[50000];
    char path[4096], previous[4096];
    (void)state;
    snprintf(path, sizeof path, "%s/now", folder);
    snprintf(previous, sizeof previous, "%s/before", folder);
    put_piece(path, previous, "old");
    put_piece(path, previous, "new");
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        zo_file_out f;
        limit_size();
        if (zo_file_out_open(&f, ctx, path)) _exit(1);
        zo_file_out_add(&f, bytes, sizeof bytes);
        zo_file_out_add(&f, "x", 1);
        _exit(zo_file_out_close(&f, previous) == ZO_IO && strstr(zo_last_error(ctx), path) ? 0 : 2);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_reads(path, "new", 3, 100);
    assert_reads(previous, "old", 3, 100);
}

static void a_full_disk_is_named(void **state)
{
    int fd = open("/dev/full", O_WRONLY);
    (void)state;
    if (fd < 0) {
        print_message("SKIPPED: no /dev/full\n");
        skip();
    }
    int error = zo_write_at(fd, "x", 1, 0);
    assert_int_equal(error, ENOSPC);
    assert_int_equal(zo_fail_io(ctx, "write it", "/dev/full", error), ZO_IO);
    error_says(ctx, "/dev/full", "No space left", "free some space", NULL);
    assert_int_equal(zo_write_at(fd, "x", 0, 0), 0);
    close(fd);
    assert_int_equal(zo_write_at(fd, "x", 1, 0), EBADF);
    assert_int_equal(zo_fail_io(ctx, "open it", "gone", ENOENT), ZO_NOT_FOUND);
}

static void bytes_are_written_where_they_belong(void **state)
{
    const char *path = in_folder(folder, "places");
    (void)state;
    put_file(path, "0123456789", 10);
    int fd = open(path, O_WRONLY);
    assert_int_equal(zo_write_at(fd, "abc", 3, 4), 0);
    assert_int_equal(zo_write_at(fd, "xyz", 3, 9), 0);
    close(fd);
    assert_reads(path, "0123abc78xyz", 12, 100);
}

/* ---- folders ---- */

static void folders_are_made(void **state)
{
    const char *deep = in_folder(folder, "a/b//c/");
    struct stat info;
    size_t made;
    (void)state;
    for (int i = 0; i < 2; i++) { /* the second time they are there */
        assert_int_equal(zo_folder_make(ctx, deep, &made), ZO_OK);
        assert_int_equal(stat(deep, &info), 0);
        assert_true(S_ISDIR(info.st_mode));
    }
    assert_int_equal(zo_folder_make(ctx, "/", &made), ZO_OK);
    put_file(in_folder(folder, "plain"), "x", 1);
    assert_int_equal(zo_folder_make(ctx, in_folder(folder, "plain"), &made), ZO_IO);
    error_says(ctx, "plain", "Not a directory", NULL);
    assert_int_equal(zo_folder_make(ctx, in_folder(folder, "plain/below"), &made), ZO_IO);
    assert_int_equal(zo_folder_make(ctx, "", &made), ZO_IO);
    char *huge = malloc(10000);
    memset(huge, 'x', 9999);
    huge[9999] = 0;
    assert_int_equal(zo_folder_make(ctx, huge, &made), ZO_IO);
    free(huge);
}

static void folders_are_unmade(void **state)
{
    char name[300] = "new/two/", *end = name + strlen(name);
    struct stat info;
    size_t made;
    (void)state;
    memset(end, 'x', 280); /* longer than a file system takes */
    assert_int_equal(zo_folder_make(ctx, in_folder(folder, name), &made), ZO_IO);
    assert_int_not_equal(stat(in_folder(folder, "new"), &info), 0);
    const char *path = in_folder(folder, "old");
    assert_int_equal(zo_folder_make(ctx, path, &made), ZO_OK);
    path = in_folder(folder, "old/one/two");
    assert_int_equal(zo_folder_make(ctx, path, &made), ZO_OK);
    zo_folder_unmake(path, made);
    assert_int_not_equal(stat(in_folder(folder, "old/one"), &info), 0);
    assert_int_equal(stat(in_folder(folder, "old"), &info), 0);
}

static void paths_are_joined(void **state)
{
    static const char *const wanted[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"/", "b", "/b"}, {"a//", "b", "a//b"}};
    (void)state;
    for (int i = 0; i < 4; i++) {
        char *path = zo_path_join(ctx, wanted[i][0], wanted[i][1]);
        assert_string_equal(path, wanted[i][2]);
        zo_free(ctx, path);
    }
}

/* ---- buffers ---- */

static zo_status fill_buffer(zo_context *c, void *arg)
{
    zo_buffer b = {.ctx = c};
    (void)arg;
    for (uint32_t i = 0; i < 20000; i++) zo_buffer_add(&b, &i, sizeof i);
    zo_status status = b.status;
    zo_buffer_free(&b);
    return status;
}

static void buffers_grow_and_are_read_back(void **state)
{
    zo_buffer b = {.ctx = ctx};
    uint32_t x;
    (void)state;
    zo_buffer_add(&b, NULL, 0);
    for (uint32_t i = 0; i < 20000; i++) zo_buffer_add(&b, &i, sizeof i);
    assert_int_equal(b.status, ZO_OK);
    assert_int_equal(b.size, 80000);
    zo_reader r = {b.data, b.data + b.size, false};
    for (uint32_t i = 0; i < 20000; i++) {
        zo_reader_take(&r, &x, sizeof x);
        assert_int_equal(x, i);
    }
    assert_false(r.failed);
    zo_reader_take(&r, &x, sizeof x);
    assert_true(r.failed);
    assert_int_equal(x, 0);
    zo_buffer_free(&b);
    assert_true(refuse_each(fill_buffer, NULL) > 3);
}

static void readers_stop_at_the_end(void **state)
{
    char text[] = "abcdef", out[8];
    zo_reader r = {text, text + 6, false};
    (void)state;
    zo_reader_take(&r, out, 4);
    assert_memory_equal(out, "abcd", 4);
    zo_reader_take(&r, out, 3); /* more than is left: nothing is given, then or later */
    assert_memory_equal(out, "\0\0\0", 3);
    zo_reader_take(&r, out, 1);
    assert_int_equal(out[0], 0);
    assert_true(r.failed);
}

/* ---- checksums ---- */

/* Numbers of Python's xxhash 4.1.0: xxh3_64_hexdigest(b""), (b"abc"), (bytes(i % 256 for i in range(1000))). */
static void checksums_are_xxh3(void **state)
{
    char bytes[1000];
    (void)state;
    for (int i = 0; i < 1000; i++) bytes[i] = (char)i;
    assert_true(zo_checksum("", 0) == 0x2d06800538d394c2u);
    assert_true(zo_checksum("abc", 3) == 0x78af5f94892f3950u);
    assert_true(zo_checksum(bytes, 1000) == 0xd33dd80b46f60e50u);
    assert_true(zo_checksum_seeded(bytes, 1000, 0) == 0xd33dd80b46f60e50u);
    assert_true(zo_checksum_seeded(bytes, 1000, 9) == XXH3_64bits_withSeed(bytes, 1000, 9));
    assert_true(zo_checksum_seeded(bytes, 1000, 9) != zo_checksum_seeded(bytes, 1000, 8));
    for (size_t cut = 0; cut <= 1000; cut += 50) {
        void *sum = zo_checksum_add(NULL, bytes, cut);
        sum = zo_checksum_add(sum, bytes + cut, 1000 - cut);
        assert_true(zo_checksum_end(sum) == zo_checksum(bytes, 1000));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_read_whole),
        cmocka_unit_test(unreadable_files_are_refused),
        cmocka_unit_test(pipes_are_read_to_their_end),
        cmocka_unit_test(reading_survives_refused_memory),
        cmocka_unit_test(writing_replaces),
        cmocka_unit_test(failed_writing_leaves_what_was_there),
        cmocka_unit_test(files_are_written_in_pieces),
        cmocka_unit_test(the_file_before_is_kept),
        cmocka_unit_test(what_cannot_be_written_replaces_nothing),
        cmocka_unit_test(a_full_disk_is_named),
        cmocka_unit_test(bytes_are_written_where_they_belong),
        cmocka_unit_test(folders_are_made),
        cmocka_unit_test(folders_are_unmade),
        cmocka_unit_test(paths_are_joined),
        cmocka_unit_test(buffers_grow_and_are_read_back),
        cmocka_unit_test(readers_stop_at_the_end),
        cmocka_unit_test(checksums_are_xxh3),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
