/* The avx2 set: a tile of 6 rows x 16 columns of sums stays in registers. */
#include "kernels/kernels.h"

#include "kernels/avx2/lanes.h"

#define ZO_TILE_ROWS 6
#define ZO_WIDE_ROWS 2
#define ZO_SPIN_CHAINS 6
#include "kernels/shared/math.h"
#include "kernels/shared/elementwise.h"
#include "kernels/shared/losses.h"
#include "kernels/shared/noise.h"
#include "kernels/shared/rows.h"
#include "kernels/shared/images.h"
#include "kernels/shared/panels.h"
#include "kernels/shared/product.h"

static bool available(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#define SET zo_kernels_avx2
#define NAME "avx2"
#define SUMMARY "eight floats at a time, fused multiply-add"
#include "kernels/shared/table.h"
