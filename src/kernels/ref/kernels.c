/* The reference set: runs on any CPU, and defines the bits of the others. */
#include "kernels/kernels.h"

#include "kernels/ref/lanes.h"
#define ZO_SPIN_CHAINS 1
#include "kernels/shared/math.h"
#include "kernels/shared/elementwise.h"
#include "kernels/shared/losses.h"
#include "kernels/shared/noise.h"
#include "kernels/shared/panels.h"

static bool available(void) { return true; }

/* One chain of fused multiply-adds per element, in the order of k. */
static void product(float *c, size_t ldc, const float *a, size_t a_row, size_t a_k,
                    const float *packed, size_t m, size_t n, size_t k, const zo_epilogue *e)
{
    float *out = e->pre ? e->pre : c;
    size_t ld = e->pre ? e->ld_pre : ldc;
    for (size_t column = 0; column < n; column += ZO_PANEL) {
        size_t width = panel_width(column, n);
        for (size_t i = 0; i < m; i++) {
            for (size_t j = 0; j < width; j += 16) {
                v16 sum = v_set(0);
                for (size_t l = 0; l < k; l++)
                    sum = v_fma(v_set(a[i * a_row + l * a_k]), v_load(packed + l * width + j), sum);
                float *at = out + i * ld + column + j;
                v_store(at, finish(sum, e, at, i, column + j));
            }
        }
        packed += k * width;
    }
    if (e->activate)
        e->activate(c, ldc, out, ld, m, n);
    else if (out != c) {
        for (size_t i = 0; i < m; i++) memcpy(c + i * ldc, out + i * ld, zo_round16(n) * sizeof *c);
    }
}

#define SET zo_kernels_ref
#define NAME "ref"
#define SUMMARY "plain C, any CPU; defines what is correct"
#include "kernels/shared/table.h"
