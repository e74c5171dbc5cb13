/* JSON: strict reading with a place, writing through the library's allocator. */
#include "support.h"

#include "base/json.h"

static zo_context *ctx;

static int set_up(void **state)
{
    (void)state;
    ctx = make_context(1, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zo_context_destroy(ctx);
    return 0;
}

static zo_status write_json(zo_context *c, void *arg)
{
    zo_buffer b = {.ctx = c};
    zo_json_text(arg, JSON_COMPACT, &b);
    zo_buffer_free(&b);
    return b.status;
}

static void refuse_json(const char *text, size_t n, const char *says)
{
    assert_null(zo_json_parse(ctx, "x.json", text, n));
    error_says(ctx, "x.json", "line", "column", says, NULL);
}

static void json_is_strict(void **state)
{
    (void)state;
    json_t *json = zo_json_parse(ctx, "x.json", "{\"a\": [1, 2.5, null]} garbage", 21);
    assert_non_null(json);
    json_decref(json);
    refuse_json("{\"a\": 1, \"a\": 2}", 16, "duplicate");
    refuse_json("{\"a\": 1} x", 10, "");
    refuse_json("{\"a\": \"\xff\"}", 10, "0xff");
    refuse_json("{\"a\": NaN}", 10, "");
    refuse_json("", 0, "");
}

static void only_utf8_can_be_held(void **state)
{
    (void)state;
    assert_true(zo_json_holds("") && zo_json_holds("caf\xc3\xa9 \xe2\x98\x83\n"));
    assert_false(zo_json_holds("caf\xe9"));
    assert_false(zo_json_holds("\xc0\x80"));
}

static void json_is_written(void **state)
{
    bool failed = false;
    (void)state;
    assert_true(json_is_null(zo_json_real(NAN)) && json_is_null(zo_json_real(-INFINITY)));
    json_t *json = json_object();
    zo_json_set(json, "x", zo_json_real(0.1), &failed);
    assert_false(failed);
    zo_buffer text = {.ctx = ctx};
    zo_json_text(json, JSON_COMPACT | JSON_REAL_PRECISION(12), &text);
    assert_int_equal(text.status, ZO_OK);
    assert_int_equal(text.size, 9);
    assert_memory_equal(text.data, "{\"x\":0.1}", 9);
    zo_buffer_free(&text);
    assert_true(refuse_each(write_json, json) >= 1);
    zo_json_set(json, "y", NULL, &failed);
    assert_true(failed);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_strict),
        cmocka_unit_test(only_utf8_can_be_held),
        cmocka_unit_test(json_is_written),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
