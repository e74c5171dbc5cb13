#include "learn/closed_walk.h"

zo_walk zo_walk_start(const double *lambda, size_t listed, size_t few)
{
    zo_walk w = {.listed = listed, .n = listed < few ? listed : few};
    size_t usual = 0;
    while (usual + 1 < listed && lambda[usual + 1] <= 1.01 * ZO_WALK_USUAL) usual++;
    w.begin = usual < w.n / 2 ? 0 : usual - w.n / 2;
    if (w.begin > listed - w.n) w.begin = listed - w.n;
    w.from = w.begin;
    w.to = w.begin + w.n;
    return w;
}

bool zo_walk_on(zo_walk *w, size_t best, bool better)
{
    if ((best == w->listed || (best + 1 == w->to && better)) && w->to < w->listed) {
        if (w->n > w->listed - w->to) w->n = w->listed - w->to;
        w->begin = w->to;
        w->to += w->n;
        return true;
    }
    if (best != w->from || !w->from || !better) return false;
    if (w->n > w->from) w->n = w->from;
    w->from -= w->n;
    w->begin = w->from;
    return true;
}
