/* Saved states of runs. The first byte says what is done to the rest: 1: the checksum is made right; 2: the definition too; 4: where the run
 * stands as well; 8: the method is `weights`. A state that is refused changes nothing; from one that is accepted the run goes on.
 */
#include "run_house.h"

#include "run/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SUM = 1, DEFINITION = 2, COURSE = 4, WEIGHTS = 8, START = 16 + 8 };

static house_facts facts[2];
static uint64_t definition[2];

/* The trainer that zo_train() would make. */
static zo_trainer *make_trainer(const house *h, bool weights, zo_net **kept)
{
    zo_train_def run = house_def(h, weights);
    zo_net_def shape = {.spec = run.net, .inputs = HOUSE_INPUTS, .seed = run.seed};
    zo_trainer *trainer;
    require(!zo_net_create(h->ctx, &shape, kept));
    zo_trainer_def def = {.method = run.method,
                          .task = run.task,
                          .net = *kept,
                          .seed = run.seed,
                          .settings = run.settings};
    require(!zo_trainer_create(h->ctx, &def, &trainer));
    require(!zo_trainer_keep_init(trainer));
    return trainer;
}

static void write_state(const uint8_t *data, size_t size, uint8_t mode)
{
    char *bytes = malloc(size + 1);
    require(bytes != NULL);
    memcpy(bytes, data, size);
    if (mode & DEFINITION && size >= START) memcpy(bytes + 16, definition + !!(mode & WEIGHTS), 8);
    if (mode & COURSE && size >= START + sizeof(zo_course)) {
        zo_course c;
        zo_course_begin(&c);
        c.step = c.assessed = 2;
        c.any = c.sound = 1;
        c.best_loss = c.look_loss = 1;
        c.best = c.look_accuracy = 0.5;
        memcpy(bytes + START, &c, sizeof c);
    }
    if (mode & SUM && size >= 8) {
        uint64_t sum = zo_checksum(bytes, size - 8);
        memcpy(bytes + size - 8, &sum, 8);
    }
    house_put(CHECKPOINT, bytes, size);
    free(bytes);
}

/* Loads it into a trainer of the definition; true if it was accepted. */
static bool load(uint8_t mode, size_t size)
{
    house h = house_open(0);
    zo_net *kept;
    zo_trainer *trainer = make_trainer(&h, mode & WEIGHTS, &kept);
    zo_course course, before;
    size_t bytes = kept->arena * sizeof(float);
    float *net = malloc(2 * bytes);
    require(net != NULL);
    memcpy(net, kept->params, bytes);
    memcpy(net + kept->arena, zo_trainer_net(trainer)->params, bytes);
    zo_course_begin(&course);
    before = course;
    int64_t held = zo_context_memory(h.ctx);
    zo_status status = zo_checkpoint_load(house_path[CHECKPOINT], trainer->definition, false,
                                          &course, kept, trainer);
    require(zo_context_memory(h.ctx) <= held + 4 * (int64_t)size + 4096);
    if (status) {
        require(status == ZO_FORMAT);
        house_says(&h);
        require(!memcmp(&course, &before, sizeof course));
        require(!memcmp(net, kept->params, bytes));
        require(!memcmp(net + kept->arena, zo_trainer_net(trainer)->params, bytes));
    } else {
        require(trainer->definition == definition[!!(mode & WEIGHTS)]);
    }
    free(net);
    zo_trainer_destroy(trainer);
    zo_net_destroy(kept);
    house_close(&h);
    return !status;
}

/* A run whose journal tells of nothing but its start, so that it goes on from the state alone. */
static void go_on(uint8_t mode, size_t size)
{
    const house_facts *f = &facts[!!(mode & WEIGHTS)];
    house h = house_open(f->memory + 65536 + 4 * (int64_t)size);
    zo_journal j;
    zo_train_result r;
    bool fresh;
    require(!zo_journal_open(&j, h.ctx, house_path[JOURNAL], true, 64, &fresh));
    require(!zo_journal_turn(&j));
    zo_journal_add_text(&j, ZO_ENTRY_START, f->recipe, f->size);
    require(!zo_journal_push(&j));
    zo_journal_close(&j);
    zo_train_def def = house_def(&h, mode & WEIGHTS);
    def.resume = true;
    zo_status status = zo_train(h.ctx, &def, &r, NULL);
    require(status == ZO_OK || status == ZO_DIVERGED);
    house_close(&h);
}

static void set_up(void)
{
    house_make_folder();
    for (int i = 0; i < 2; i++) {
        zo_net *kept;
        facts[i] = house_learn(i);
        house h = house_open(0);
        zo_trainer *trainer = make_trainer(&h, i, &kept);
        definition[i] = trainer->definition;
        zo_trainer_destroy(trainer);
        zo_net_destroy(kept);
        house_close(&h);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) set_up();
    ready = true;
    if (!size) return 0;
    house_clear();
    write_state(data + 1, size - 1, data[0]);
    load(data[0], size);
    go_on(data[0], size); /* from the seed, where the state was refused */
    return 0;
}
