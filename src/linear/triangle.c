#include "linear/triangle.h"

/* Sixteen columns. Separate multiplications and subtractions: plain C that compilers turn into vectors, with the same bits everywhere. */
static void subtract(float *x, const float *from, float factor)
{
    for (size_t c = 0; c < 16; c++) x[c] -= factor * from[c];
}

static void divide(float *x, float *minus, float pivot)
{
    for (size_t c = 0; c < 16; c++) {
        x[c] /= pivot;
        minus[c] = -x[c];
    }
}

/* Row i of sixteen columns, after rows first .. end - 1 of this step; l: element i of L at those rows, `apart` from each other. */
static void substitute(float *restrict x, const float *restrict solved, size_t ldx, const float *l,
                       size_t apart, size_t rows)
{
    float sum[16];
    for (size_t c = 0; c < 16; c++) sum[c] = x[c];
    for (size_t r = 0; r < rows; r++) subtract(sum, solved + r * ldx, l[r * apart]);
    for (size_t c = 0; c < 16; c++) x[c] = sum[c];
}

void zo_panel_lower(const zo_kernels *k, const float *l, size_t ld, size_t m, float *x, size_t ldx,
                    size_t n, float *minus)
{
    size_t width = n > 16 ? ZO_PANEL : 16;
    for (size_t first = 0; first < m; first += ZO_STEP) {
        size_t end = zo_least(first + ZO_STEP, m);
        zo_operand a = zo_matrix(l + first * ld, ld, end - first, first);
        if (first)
            k->product(x + first * ldx, ldx, 0, &a, minus, n, &(zo_epilogue){.accumulate = true});
        for (size_t i = first; i < end; i++) {
            for (size_t c = 0; c < width; c += 16) {
                substitute(x + i * ldx + c, x + first * ldx + c, ldx, l + i * ld + first, 1,
                           i - first);
                divide(x + i * ldx + c, minus + i * width + c, l[i * ld + i]);
            }
        }
    }
}

void zo_panel_upper(const zo_kernels *k, const float *l, size_t ld, size_t m, float *x, size_t ldx,
                    size_t n, float *minus)
{
    size_t width = n > 16 ? ZO_PANEL : 16;
    for (size_t end = m; end > 0;) {
        size_t first = (end - 1) / ZO_STEP * ZO_STEP;
        zo_operand a = zo_transposed(l + end * ld + first, ld, end - first, m - end);
        if (end < m)
            k->product(x + first * ldx, ldx, 0, &a, minus + end * width, n,
                       &(zo_epilogue){.accumulate = true});
        for (size_t i = end; i-- > first;) {
            for (size_t c = 0; c < width; c += 16) {
                substitute(x + i * ldx + c, x + (i + 1) * ldx + c, ldx, l + (i + 1) * ld + i, ld,
                           end - i - 1);
                divide(x + i * ldx + c, minus + i * width + c, l[i * ld + i]);
            }
        }
        end = first;
    }
}
