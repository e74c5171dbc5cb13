/* The avx512 set: a tile of 14 rows x 32 columns of sums stays in registers. And avx512bf16: the same, with pairs of bfloat16. */
#include "kernels/kernels.h"

#include "kernels/avx512/lanes.h"

#define ZO_TILE_ROWS 14
#define ZO_WIDE_ROWS 14
#define ZO_SPIN_CHAINS 12
#include "kernels/shared/math.h"
#include "kernels/shared/elementwise.h"
#include "kernels/shared/losses.h"
#include "kernels/shared/noise.h"
#include "kernels/shared/rows.h"
#include "kernels/shared/images.h"
#include "kernels/shared/panels.h"
#include "kernels/shared/product.h"
#include "kernels/avx512/pairs.h"

static bool available(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static bool available_with_pairs(void)
{
    return available() && __builtin_cpu_supports("avx512bf16") && pairs_agree();
}

#define SET zo_kernels_avx512
#define NAME "avx512"
#define SUMMARY "sixteen floats at a time, fused multiply-add"
#include "kernels/shared/table.h"

#define SET zo_kernels_avx512bf16
#define NAME "avx512bf16"
#define SUMMARY "as avx512; two multiply-adds of bfloat16 at once"
#define AVAILABLE available_with_pairs
#define ADD_PAIRS add_pairs
#include "kernels/shared/table.h"
