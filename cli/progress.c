#include "progress.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "text.h"

/* Seconds between two redraws, and between two plain lines. */
static const double LIVE_EVERY = 0.1, PLAIN_EVERY = 2;

enum { LINE_MAX_BYTES = 512, BAR_LEAST = 8, BAR_MOST = 40 };

static volatile sig_atomic_t on_live_line;

static void overwrite(const char *bytes, size_t n)
{
    if (!on_live_line) return;
    ssize_t ignored = write(STDERR_FILENO, bytes, n);
    (void)ignored;
}

void cli_progress_wipe(void)
{
    static const char line[] = "\r\033[K";
    overwrite(line, sizeof line - 1);
    on_live_line = 0;
}

void cli_progress_stopping(void)
{
    static const char line[] = "\r\033[Kstopping ...";
    overwrite(line, sizeof line - 1);
}

static void draw(const char *line)
{
    fprintf(stderr, "\r%s\033[K", line);
    on_live_line = 1;
}

void cli_progress_start(cli_progress *p, bool quiet)
{
    *p = (cli_progress){.quiet = quiet, .live = !quiet && cli_can_move(stderr)};
}

void cli_progress_say(cli_progress *p, const char *text)
{
    if (p->quiet) return;
    cli_progress_wipe();
    if (p->live)
        cli_wrap(stderr, text, 0, cli_width(stderr));
    else
        fprintf(stderr, "%s\n", text);
}

void cli_progress_busy(cli_progress *p, const char *text)
{
    char line[LINE_MAX_BYTES];
    if (!p->live) {
        cli_progress_say(p, text);
        return;
    }
    snprintf(line, sizeof line, "%.*s", cli_width(stderr) - 1, text);
    draw(line);
}

/* ---- the parts of a line ---- */

/* The parts in order of the line; a level of detail names those it shows. */
enum { BAR = 1, PERCENT = 2, LEFT = 4, LOSS = 8, VALID = 16, SPEED = 32, WORDS = 64 };

static void add(char *out, size_t room, const char *text)
{
    size_t used = strlen(out);
    if (*text) snprintf(out + used, room - used, "%s%s", used ? "  " : "", text);
}

static void add_validation(const zo_report *r, bool words, char *out, size_t room)
{
    char part[80], number[CLI_NUMBER];
    const char *name = words ? "validation" : "val";
    if (isfinite(r->validation_accuracy)) {
        snprintf(part, sizeof part, "%s %s", name, cli_percent(r->validation_accuracy, number));
    } else if (isfinite(r->validation_loss)) {
        snprintf(part, sizeof part, "%s %.4f", name, r->validation_loss);
    } else {
        return;
    }
    add(out, room, part);
}

static void add_parts(const zo_report *r, int level, char *out, size_t room)
{
    char part[80], number[CLI_NUMBER];
    bool words = level & WORDS;
    if (level & PERCENT) {
        snprintf(part, sizeof part, "%3.0f %%", floor(100 * fmin(fmax(r->progress, 0), 1)));
        add(out, room, part);
    }
    if ((level & LEFT) && isfinite(r->seconds_left)) {
        snprintf(part, sizeof part, "%s left", cli_duration(ceil(r->seconds_left), number));
        add(out, room, part);
    }
    if ((level & LOSS) && isfinite(r->train_loss)) {
        snprintf(part, sizeof part, "%s %.4f", words ? "train loss" : "loss", r->train_loss);
        add(out, room, part);
    }
    if (level & VALID) add_validation(r, words, out, room);
    if ((level & SPEED) && r->forwards_per_second > 0) {
        snprintf(part, sizeof part, "%s %s", cli_unit(r->forwards_per_second, number),
                 words ? "forward-equivalents/s" : "fwd/s");
        add(out, room, part);
    }
}

static void add_bar(double progress, int width, char *out, size_t room)
{
    char bar[BAR_MOST + 3];
    int inside = width - 2 < BAR_MOST ? width - 2 : BAR_MOST;
    int full = (int)(fmin(fmax(progress, 0), 1) * inside);
    bar[0] = '[';
    memset(bar + 1, '#', (size_t)full);
    memset(bar + 1 + full, '-', (size_t)(inside - full));
    bar[1 + inside] = ']';
    bar[2 + inside] = 0;
    add(out, room, bar);
}

/* The live line for a terminal of `width` columns; takes at most width - 1. */
static void live_line(const zo_report *r, int width, char *out, size_t room)
{
    static const int levels[] = {BAR | PERCENT | LEFT | LOSS | VALID | SPEED | WORDS,
                                 BAR | PERCENT | LEFT | LOSS | VALID | SPEED,
                                 BAR | PERCENT | LEFT | LOSS | VALID,
                                 PERCENT | LEFT | LOSS | VALID,
                                 PERCENT | LEFT | VALID,
                                 PERCENT | VALID,
                                 PERCENT};
    enum { LEVELS = sizeof levels / sizeof *levels };
    char parts[LINE_MAX_BYTES];
    for (int i = 0; i < LEVELS; i++) {
        parts[0] = out[0] = 0;
        add_parts(r, levels[i], parts, sizeof parts);
        int left = width - 1 - (int)strlen(parts);
        if (levels[i] & BAR) left -= 2;
        if (left < (levels[i] & BAR ? BAR_LEAST : 0) && i + 1 < LEVELS) continue;
        if (levels[i] & BAR) add_bar(r->progress, left, out, room);
        add(out, room, parts);
        return;
    }
}

static void plain_line(const zo_report *r)
{
    char line[LINE_MAX_BYTES] = "";
    char seconds[CLI_NUMBER];
    snprintf(seconds, sizeof seconds, "%6.1f s", r->seconds);
    add(line, sizeof line, seconds);
    add_parts(r, PERCENT | LEFT | LOSS | VALID | SPEED | WORDS, line, sizeof line);
    fprintf(stderr, "%s\n", line);
}

static void show(cli_progress *p)
{
    char line[LINE_MAX_BYTES];
    p->waiting = false;
    p->shown = true;
    p->last = cli_seconds();
    if (p->live) {
        live_line(&p->latest, cli_width(stderr), line, sizeof line);
        draw(line);
    } else {
        plain_line(&p->latest);
    }
}

void cli_progress_report(void *user, const zo_report *report)
{
    cli_progress *p = user;
    if (p->quiet) return;
    p->latest = *report;
    p->waiting = true;
    double every = p->live ? LIVE_EVERY : PLAIN_EVERY;
    bool last = p->live && report->progress >= 1;
    if (!p->shown || last || cli_seconds() - p->last >= every) show(p);
}

void cli_progress_log(void *user, zo_log_level level, const char *text)
{
    if (level == ZO_LOG_INFO) cli_progress_say(user, text);
    if (level == ZO_LOG_WARNING)
        cli_warn(text); /* also when quiet: a disk that fails is no progress */
}

void cli_progress_end(cli_progress *p)
{
    if (!p->quiet && !p->live && p->waiting) show(p);
    cli_progress_wipe();
}
