/* Which kernel set runs: the best this CPU has, unless the host names one. Here, because base knows nothing of kernels, the public
 * zo_context_create() lives too. */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/params.h"
#include "kernels/kernels.h"

/* clang-format off */
const zo_class_info *const zo_kernel_classes[] = {
#ifdef ZO_HAVE_AVX512
    &zo_kernels_avx512bf16.info,
    &zo_kernels_avx512.info,
#endif
#ifdef ZO_HAVE_AVX2
    &zo_kernels_avx2.info,
#endif
    &zo_kernels_ref.info,
    NULL,
};
/* clang-format on */

static zo_status choose(const char *name, const zo_kernels **out)
{
    for (int i = 0; zo_kernel_classes[i]; i++) {
        const zo_kernels *k = (const zo_kernels *)zo_kernel_classes[i];
        if (name && strcmp(name, k->info.name)) continue;
        if (!k->available()) {
            if (name) return ZO_UNSUPPORTED;
            continue;
        }
        *out = k;
        return ZO_OK;
    }
    return ZO_USAGE;
}

zo_status zo_context_create(const zo_context_def *def, zo_context **out)
{
    *out = NULL;
    const zo_kernels *kernels = NULL;
    zo_status status = choose(def ? def->kernels : NULL, &kernels);
    if (!status) status = zo_context_open(def, out);
    if (!status) (*out)->kernels = kernels;
    return status;
}

const char *zo_context_kernels(const zo_context *ctx) { return ctx->kernels->info.name; }

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of a few short bursts: what the core can do when nothing disturbs it. */
static double measure_peak(const zo_kernels *k)
{
    double best = 0, start = now();
    float sink = 0;
    while (now() - start < 0.2) {
        double t = now(), done = k->spin(4, &sink);
        double rate = done / (now() - t);
        if (rate > best) best = rate;
    }
    return sink == 12345.0f ? 0 : best; /* keeps the loop from being left out */
}

static void read_cpu_name(char *out, size_t room)
{
    snprintf(out, room, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f) return;
    char line[256];
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        snprintf(out, room, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    fclose(f);
}

zo_status zo_machine(zo_context *ctx, bool measure, zo_machine_info *out)
{
    *out = (zo_machine_info){.processors = 1};
    read_cpu_name(out->cpu, sizeof out->cpu);
    cpu_set_t set;
    if (!sched_getaffinity(0, sizeof set, &set)) out->processors = CPU_COUNT(&set);
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    if (pages > 0 && size > 0) out->memory = (int64_t)pages * size;
    out->kernels = zo_context_kernels(ctx);
    if (measure) out->peak = measure_peak(ctx->kernels);
    return ZO_OK;
}
