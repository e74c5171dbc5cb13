#include "run/checkpoint.h"

#include <math.h>
#include <string.h>

static const char magic[16] = "zeroth state 2\n";

void zo_course_begin(zo_course *course)
{
    *course = (zo_course){.train_loss = NAN,
                          .look_loss = NAN,
                          .look_accuracy = NAN,
                          .best = NAN,
                          .best_loss = INFINITY,
                          .seconds_target = NAN};
}

zo_status zo_checkpoint_save(const char *path, const char *previous, uint64_t definition,
                             const zo_course *course, const zo_net *kept, const zo_trainer *trainer)
{
    zo_file_out f;
    zo_status status = zo_file_out_open(&f, kept->ctx, path);
    if (status) return status;
    zo_file_out_add(&f, magic, sizeof magic);
    zo_file_out_add(&f, &definition, sizeof definition);
    zo_file_out_add(&f, course, sizeof *course);
    zo_file_out_add(&f, kept->params, kept->arena * sizeof *kept->params);
    zo_trainer_state_add(trainer, &f);
    if (trainer->good) zo_file_out_add(&f, trainer->good, zo_trainer_state_size(trainer));
    zo_file_out_add_sum(&f);
    status = zo_file_out_close(&f, previous);
    zo_file_out_drop(&f);
    return status;
}

/* Numbers that a run can have; NaN where there is none yet. */
static bool plausible(const zo_course *c)
{
    const int64_t most = (int64_t)1 << 40;
    const int64_t counts[] = {c->step, c->dropped, c->assessed, c->since, c->kept, c->back};
    for (int i = 0; i < 6; i++)
        if (counts[i] < 0 || counts[i] > most) return false;
    const double sizes[] = {c->cost, c->examples, c->assessed_cost, c->seconds, c->start};
    for (int i = 0; i < 5; i++)
        if (!(sizes[i] >= 0) || isinf(sizes[i])) return false;
    return c->assessed + c->since <= c->step;
}

static zo_status take(const char *path, const char *data, size_t size, uint64_t definition,
                      bool any, zo_course *course, zo_net *kept, zo_trainer *trainer)
{
    const zo_context *ctx = kept->ctx;
    size_t numbers = kept->arena * sizeof *kept->params, state = zo_trainer_state_size(trainer),
           good = trainer->good ? state : 0,
           frame = sizeof magic + 2 * sizeof(uint64_t) + sizeof *course;
    uint64_t sum, of;
    zo_course c;
    if (size < frame || memcmp(data, magic, sizeof magic))
        return zo_fail(ctx, ZO_FORMAT, "%s: not the state of a run", path);
    memcpy(&sum, data + size - sizeof sum, sizeof sum);
    if (sum != zo_checksum(data, size - sizeof sum))
        return zo_fail(ctx, ZO_FORMAT, "%s: damaged: its checksum does not fit", path);
    memcpy(&of, data + sizeof magic, sizeof of);
    memcpy(&c, data + sizeof magic + sizeof of, sizeof c);
    if ((of != definition && !any) || size != frame + numbers + state + good)
        return zo_fail(ctx, ZO_FORMAT, "%s: of a run with another net, seed, setting or data", path);
    zo_reader in = {data + frame - sizeof sum + numbers, data + size - sizeof sum, false};
    if (!plausible(&c) || !zo_trainer_state_take(trainer, &in))
        return zo_fail(ctx, ZO_FORMAT, "%s: damaged: no run can have written it", path);
    memcpy(kept->params, data + frame - sizeof sum, numbers);
    if (good) memcpy(trainer->good, in.at, good);
    *course = c;
    return ZO_OK;
}

zo_status zo_checkpoint_load(const char *path, uint64_t definition, bool any, zo_course *course,
                             zo_net *kept, zo_trainer *trainer)
{
    char *data;
    size_t size;
    zo_status status = zo_file_read(kept->ctx, path, (size_t)1 << 40, &data, &size);
    if (status) return status;
    status = take(path, data, size, definition, any, course, kept, trainer);
    zo_free(kept->ctx, data);
    return status;
}
