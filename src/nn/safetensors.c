/* Model files in the safetensors format: 8 bytes length, a JSON header, the numbers. The header's "__metadata__" holds the net spec, so
 * that a file is a network and not only its weights.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/files.h"
#include "base/json.h"
#include "nn/net.h"

#define HEADER_MAX (16u << 20)
#define NOTES_MAX 256
#define FILE_MAX ((size_t)1 << 40)

/* A tensor of the file; data NULL: a segment, which lies in the arena in another order. */
typedef struct tensor {
    zo_segment of;
    float *data;
    int segment;
} tensor;

/* The tensors of a net in file order: its segments, the input transform, and the output transform where it does something. */
static tensor tensor_at(zo_net *net, int index)
{
    tensor t = {.segment = index};
    int extra = index - zo_net_segments(net);
    if (extra < 0) {
        zo_net_segment(net, index, &t.of);
        return t;
    }
    float *const data[] = {net->shift, net->scale, net->out_shift, net->out_scale};
    t.of = (zo_segment){.rank = 1, .shape = {extra < 2 ? net->inputs : net->outputs, 0}};
    t.data = data[extra];
    snprintf(t.of.name, sizeof t.of.name, "%s.%s", extra < 2 ? "input" : "output",
             extra % 2 ? "scale" : "shift");
    return t;
}

static bool transforms_outputs(const zo_net *net)
{
    for (int i = 0; i < net->outputs; i++) {
        if (net->out_shift[i] != 0 || net->out_scale[i] != 1) return true;
    }
    return false;
}

static int tensors(const zo_net *net, bool outputs)
{
    return zo_net_segments(net) + (outputs ? 4 : 2);
}

static size_t count(const zo_segment *t)
{
    return (size_t)t->shape[0] * (size_t)(t->rank == 2 ? t->shape[1] : 1);
}

static json_t *describe(const zo_segment *t, size_t begin, bool *failed)
{
    json_t *entry = json_object(), *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        *failed |= json_array_append_new(shape, json_integer(t->shape[i])) != 0;
    zo_json_set(entry, "dtype", json_string("F32"), failed);
    zo_json_set(entry, "shape", shape, failed);
    zo_json_set(entry, "data_offsets",
                json_pack("[I,I]", (json_int_t)begin, (json_int_t)(begin + 4 * count(t))), failed);
    return entry;
}

/* Adds the header. */
static void add_header(zo_net *net, zo_buffer *out)
{
    bool failed = false;
    char inputs[16], shape[48];
    snprintf(inputs, sizeof inputs, "%d", net->inputs);
    snprintf(shape, sizeof shape, "%dx%dx%d", net->in.height, net->in.width, net->in.channels);
    json_t *header = json_object(), *meta = json_object();
    zo_json_set(meta, "format", json_string("zeroth"), &failed);
    zo_json_set(meta, "version", json_string("1"), &failed);
    zo_json_set(meta, "net", json_string(net->spec), &failed);
    zo_json_set(meta, "inputs", json_string(inputs), &failed);
    if (zo_shape_pixels(&net->in) > 1) zo_json_set(meta, "shape", json_string(shape), &failed);
    for (const zo_note *n = net->notes; n; n = n->next)
        zo_json_set(meta, n->key, json_string(n->value), &failed);
    zo_json_set(header, "__metadata__", meta, &failed);
    size_t begin = 0;
    for (int i = 0; i < tensors(net, transforms_outputs(net)); i++) {
        tensor t = tensor_at(net, i);
        zo_json_set(header, t.of.name, describe(&t.of, begin, &failed), &failed);
        begin += 4 * count(&t.of);
    }
    if (failed) out->status = zo_fail(net->ctx, ZO_NO_MEMORY, "out of memory while writing JSON");
    zo_json_text(header, JSON_COMPACT, out);
    json_decref(header);
}

static size_t most_numbers(zo_net *net)
{
    size_t most = 1;
    for (int i = 0; i < zo_net_segments(net); i++) {
        tensor t = tensor_at(net, i);
        if (count(&t.of) > most) most = count(&t.of);
    }
    return most;
}

/* The numbers of a tensor in file order; `room` is for those of a segment. */
static const float *numbers_of(const zo_net *net, const tensor *t, float *room)
{
    if (t->data) return t->data;
    zo_net_read_segment(net, t->segment, room);
    return room;
}

/* What zo_net_load() would refuse is not written. */
static zo_status check_numbers(zo_net *net, const char *path, float *room)
{
    for (int i = 0; i < tensors(net, true); i++) {
        tensor t = tensor_at(net, i);
        const float *x = numbers_of(net, &t, room);
        for (size_t k = 0; k < count(&t.of); k++) {
            if (isfinite(x[k])) continue;
            return zo_fail(net->ctx, ZO_DIVERGED,
                           "%s: not written: tensor \"%s\" holds a number that is not finite", path,
                           t.of.name);
        }
    }
    return ZO_OK;
}

/* Numbers are little-endian, as on every machine this runs on. */
static zo_status write_file(zo_net *net, const char *path, const zo_buffer *header, float *room)
{
    zo_file_out f;
    uint64_t length = header->size;
    zo_status status = zo_file_out_open(&f, net->ctx, path);
    if (status) return status;
    zo_file_out_add(&f, &length, sizeof length);
    zo_file_out_add(&f, header->data, header->size);
    for (int i = 0; i < tensors(net, transforms_outputs(net)); i++) {
        tensor t = tensor_at(net, i);
        zo_file_out_add(&f, numbers_of(net, &t, room), 4 * count(&t.of));
    }
    status = zo_file_out_close(&f, NULL);
    zo_file_out_drop(&f);
    return status;
}

zo_status zo_net_save(const zo_net *net, const char *path)
{
    const zo_context *ctx = net->ctx;
    zo_net *n = (zo_net *)net; /* read only */
    float *room = zo_alloc(ctx, most_numbers(n) * sizeof *room);
    if (!room) return ZO_NO_MEMORY;
    zo_status status = check_numbers(n, path, room);
    zo_buffer header = {.ctx = ctx};
    if (!status) {
        add_header(n, &header);
        zo_buffer_add(&header, "       ", (8 - header.size % 8) % 8);
        status = header.status ? header.status : write_file(n, path, &header, room);
    }
    zo_buffer_free(&header);
    zo_free(ctx, room);
    return status;
}

typedef struct file {
    const char *path, *data;
    size_t size; /* of the numbers */
    json_t *header;
} file;

static zo_status bad(const zo_context *ctx, const file *f, const char *what)
{
    return zo_fail(ctx, ZO_FORMAT, "%s: not a zeroth model: %s", f->path, what);
}

static zo_status read_header(const zo_context *ctx, file *f, const char *bytes, size_t size)
{
    if (size < 8) return bad(ctx, f, "shorter than 8 bytes");
    uint64_t length = 0;
    for (int i = 0; i < 8; i++) length |= (uint64_t)(unsigned char)bytes[i] << 8 * i;
    if (length > HEADER_MAX || length > size - 8)
        return bad(ctx, f, "its header is longer than the file; was it cut off?");
    f->header = zo_json_parse(ctx, f->path, bytes + 8, (size_t)length);
    if (!f->header) return ZO_FORMAT;
    f->data = bytes + 8 + length;
    f->size = size - 8 - (size_t)length;
    return json_is_object(f->header) ? ZO_OK : bad(ctx, f, "its header is not an object");
}

static const char *meta_text(const file *f, const char *key)
{
    return json_string_value(json_object_get(json_object_get(f->header, "__metadata__"), key));
}

static zo_status make_net(zo_context *ctx, const file *f, zo_net **out)
{
    const char *format = meta_text(f, "format"), *version = meta_text(f, "version"),
               *spec = meta_text(f, "net"), *inputs = meta_text(f, "inputs");
    if (!format || strcmp(format, "zeroth") || !version || !spec || !inputs)
        return bad(ctx, f, "no net spec in its metadata");
    if (strcmp(version, "1"))
        return zo_fail(ctx, ZO_FORMAT, "%s: written as version %.20s, this zeroth reads version 1",
                       f->path, version);
    zo_net_def def = {0};
    char *end;
    long n = strtol(inputs, &end, 10);
    if (*end || n < 1 || n > 1 << 20 || (size_t)n > f->size / 8)
        return bad(ctx, f, "impossible number of inputs in its metadata");
    def.inputs = (int)n;
    const char *shape = meta_text(f, "shape");
    int used = 0;
    if (shape && (sscanf(shape, "%7dx%7dx%7d%n", &def.height, &def.width, &def.channels, &used) != 3 ||
                  shape[used]))
        return bad(ctx, f, "no shape of its inputs in its metadata");
    zo_shape in;
    zo_status status = zo_net_input_shape(ctx, &def, &in);
    if (!status) status = zo_net_parse(ctx, spec, in, 0, (int64_t)(f->size / 4), out);
    if (status != ZO_USAGE) return status;
    char why[512];
    snprintf(why, sizeof why, "%s", zo_last_error(ctx));
    return zo_fail(ctx, ZO_FORMAT, "%s: %s", f->path, why);
}

/* The smallest size a spec can mean is known before anything is allocated for it: the numbers must all be in the file. */
static zo_status check_size(const zo_context *ctx, const file *f)
{
    double most = (double)f->size / 4, sum = 0;
    const char *key;
    json_t *entry;
    json_object_foreach(f->header, key, entry)
    {
        if (!strcmp(key, "__metadata__")) continue;
        json_t *shape = json_object_get(entry, "shape");
        double n = 1;
        for (size_t i = 0; i < json_array_size(shape); i++)
            n *= (double)json_integer_value(json_array_get(shape, i));
        sum += n;
    }
    if (sum != most) {
        return zo_fail(ctx, ZO_FORMAT,
                       "%s: its header promises %.0f numbers, the file holds %.2f; was it cut off?",
                       f->path, sum, most);
    }
    return ZO_OK;
}

/* The numbers lie at any place in the file, so they are copied before they are floats. */
static zo_status copy_numbers(zo_net *net, const file *f, const tensor *t, size_t begin)
{
    size_t n = count(&t->of);
    float *to = t->data ? t->data : zo_alloc(net->ctx, n * sizeof *to);
    if (!to) return ZO_NO_MEMORY;
    memcpy(to, f->data + begin, n * sizeof *to);
    zo_status status = ZO_OK;
    for (size_t i = 0; i < n && !status; i++) {
        if (!isfinite(to[i]))
            status =
                zo_fail(net->ctx, ZO_FORMAT, "%s: tensor \"%s\" holds a number that is not finite",
                        f->path, t->of.name);
    }
    if (!t->data) {
        if (!status) zo_net_write_segment(net, t->segment, to);
        zo_free(net->ctx, to);
    }
    return status;
}

static zo_status take_tensor(zo_net *net, const file *f, const tensor *of)
{
    const zo_context *ctx = net->ctx;
    const zo_segment *t = &of->of;
    json_t *entry = json_object_get(f->header, t->name), *shape = json_object_get(entry, "shape");
    json_t *offsets = json_object_get(entry, "data_offsets");
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    if (!entry) return zo_fail(ctx, ZO_FORMAT, "%s: tensor \"%s\" is missing", f->path, t->name);
    if (!type || strcmp(type, "F32"))
        return zo_fail(ctx, ZO_FORMAT, "%s: tensor \"%s\" is not F32", f->path, t->name);
    bool fits = json_array_size(shape) == (size_t)t->rank;
    for (int i = 0; fits && i < t->rank; i++)
        fits = json_integer_value(json_array_get(shape, (size_t)i)) == t->shape[i];
    if (!fits)
        return zo_fail(ctx, ZO_FORMAT,
                       "%s: tensor \"%s\" does not have the shape that the net spec gives it",
                       f->path, t->name);
    json_int_t begin = json_integer_value(json_array_get(offsets, 0)),
               end = json_integer_value(json_array_get(offsets, 1));
    if (json_array_size(offsets) != 2 || begin < 0 || end < begin || (uint64_t)end > f->size ||
        (uint64_t)(end - begin) != 4 * count(t)) {
        return zo_fail(
            ctx, ZO_FORMAT,
            "%s: tensor \"%s\" lies outside the file, or its size is not that of its shape",
            f->path, t->name);
    }
    return copy_numbers(net, f, of, (size_t)begin);
}

static int by_begin(const void *a, const void *b)
{
    int64_t x = ((const int64_t *)a)[0], y = ((const int64_t *)b)[0];
    return (x > y) - (x < y);
}

/* The format allows tensors in any order, but neither gaps nor overlaps. */
static zo_status check_places(const zo_context *ctx, const file *f)
{
    size_t n = 0;
    const char *key;
    json_t *entry;
    int64_t(*place)[2] = zo_alloc_zero(ctx, json_object_size(f->header), sizeof *place);
    if (!place) return ZO_NO_MEMORY;
    json_object_foreach(f->header, key, entry)
    {
        json_t *offsets = json_object_get(entry, "data_offsets");
        if (!strcmp(key, "__metadata__")) continue;
        for (size_t i = 0; i < 2; i++) place[n][i] = json_integer_value(json_array_get(offsets, i));
        n++;
    }
    qsort(place, n, sizeof *place, by_begin);
    bool apart = true;
    for (size_t i = 1; i < n; i++) apart &= place[i][0] == place[i - 1][1];
    zo_free(ctx, place);
    return apart ? ZO_OK : bad(ctx, f, "its tensors overlap");
}

static zo_status take_notes(zo_net *net, const file *f)
{
    if (json_object_size(json_object_get(f->header, "__metadata__")) > NOTES_MAX)
        return bad(net->ctx, f, "too many entries in its metadata");
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(f->header, "__metadata__"), key, value)
    {
        static const char *const own[] = {"format", "version", "net", "inputs", "shape"};
        bool note = *key && json_is_string(value);
        for (int i = 0; i < 5; i++) note &= strcmp(key, own[i]) != 0;
        zo_status status = note ? zo_net_set_note(net, key, json_string_value(value)) : ZO_OK;
        if (status) return status;
    }
    return ZO_OK;
}

/* A net as large as the spec says may be built only if the file is as large. */
static zo_status check_parameters(const zo_context *ctx, const file *f)
{
    size_t n = json_object_size(f->header);
    return n < 3 ? bad(ctx, f, "no tensors") : check_size(ctx, f);
}

zo_status zo_net_from_bytes(zo_context *ctx, const char *path, const char *bytes, size_t size,
                            zo_net **out)
{
    *out = NULL;
    file f = {.path = path};
    zo_net *net = NULL;
    zo_status status = read_header(ctx, &f, bytes, size);
    if (!status) status = check_parameters(ctx, &f);
    if (!status) status = make_net(ctx, &f, &net);
    bool outputs = json_object_get(f.header, "output.shift") != NULL;
    for (int i = 0; !status && i < tensors(net, outputs); i++) {
        tensor t = tensor_at(net, i);
        status = take_tensor(net, &f, &t);
    }
    if (!status && json_object_size(f.header) != (size_t)tensors(net, outputs) + 1)
        status = bad(ctx, &f, "it holds tensors that its net spec does not have");
    if (!status) status = check_places(ctx, &f);
    if (!status) status = take_notes(net, &f);
    json_decref(f.header);
    if (status)
        zo_net_destroy(net);
    else
        *out = net;
    return status;
}

zo_status zo_net_load(zo_context *ctx, const char *path, zo_net **out)
{
    *out = NULL;
    char *bytes;
    size_t size;
    zo_status status = zo_file_read(ctx, path, FILE_MAX, &bytes, &size);
    if (!status) status = zo_net_from_bytes(ctx, path, bytes, size, out);
    zo_free(ctx, bytes);
    return status;
}
