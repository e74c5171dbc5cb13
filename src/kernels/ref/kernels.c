/* The reference set: runs on any CPU, and defines the bits of the others. */
#include "kernels/kernels.h"

#include "kernels/ref/lanes.h"
#define ZO_SPIN_CHAINS 1
#include "kernels/shared/math.h"
#include "kernels/shared/elementwise.h"
#include "kernels/shared/losses.h"
#include "kernels/shared/noise.h"
#include "kernels/shared/rows.h"
#include "kernels/shared/images.h"
#include "kernels/shared/panels.h"

static bool available(void) { return true; }

/* One chain of fused multiply-adds per element, in the order of k. */
static v16 chain(const zo_operand *a, const float *row, const float *panel, size_t width)
{
    v16 sum = v_set(0);
    for (size_t s = 0; s < a->runs; s++) {
        const float *run = row + (a->start ? a->start[s] : 0);
        for (size_t t = 0; t < a->run; t++, panel += width)
            sum = v_fma(v_set(run[t * a->step]), v_load(panel), sum);
    }
    return sum;
}

/* Row i of image g. */
static void product_row(float *c, float *out, const zo_operand *a, const float *row, size_t i,
                        size_t g, const float *packed, size_t n, const zo_epilogue *e)
{
    size_t k = a->runs * a->run;
    for (size_t j = 0; j < n; j += 16) {
        size_t column = j / ZO_PANEL * ZO_PANEL, width = panel_width(column, n);
        v16 sum = chain(a, row, packed + column * k + j % ZO_PANEL, width);
        v_store(out + j, finish(sum, e, out + j, i, g, j));
    }
    if (e->activate)
        e->activate(c, 0, out, 0, 1, n, e->number);
    else if (out != c)
        memcpy(c, out, zo_round16(n) * sizeof *c);
}

static void product(float *c, size_t ldc, size_t c_image, const zo_operand *a, const float *packed,
                    size_t n, const zo_epilogue *e)
{
    float *out = e->pre ? e->pre : c;
    for (size_t g = 0; g < a->images; g++) {
        for (size_t i = 0; i < a->lines * a->rows; i++) {
            size_t at = g * c_image + i * ldc, y = i / a->rows, r = i % a->rows;
            product_row(c + at, out + at, a, a->a + g * a->image + y * a->line + r * a->row,
                        g * a->lines * a->rows + i, g, packed, n, e);
        }
    }
}

#define SET zo_kernels_ref
#define NAME "ref"
#define SUMMARY "plain C, any CPU; defines what is correct"
#include "kernels/shared/table.h"
