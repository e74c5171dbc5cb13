/* zeroth list: what can be named, and its parameters. */
#include <stdlib.h>
#include <string.h>

#include "classes.h"
#include "cli.h"
#include "output.h"
#include "text.h"

typedef struct list_options {
    bool json;
} list_options;

static const cli_option options[] = {
    {"json", NULL, CLI_FLAG, offsetof(list_options, json), 0, 0, "one JSON object"},
    CLI_OPTION_END,
};

static json_t *class_json(const char *kind, const zo_class_info *c)
{
    json_t *json = json_object();
    cli_json_text(json, "name", c->name);
    cli_json_text(json, "summary", c->summary);
    cli_json_text(json, "uses", zo_uses_text(c->uses));
    cli_json_text(json, "source", c->source ? c->source : "");
    json_object_set_new(json, "params", cli_params_json(c));
    zo_layer_form f;
    if (strcmp(kind, "layers") || !zo_layer_form_of(c->name, &f)) return json;
    cli_json_text(json, "example", f.example);
    cli_json_text(json, "options", f.options);
    cli_json_text(json, "gives", f.gives);
    cli_json_text(json, "cost", f.cost);
    cli_json_text(json, "sites", f.sites);
    json_object_set_new(json, "activation", json_boolean(f.activation));
    json_object_set_new(json, "no_derivative", json_boolean(f.no_derivative));
    return json;
}

static json_t *kind_json(const char *kind)
{
    json_t *list = json_array();
    const zo_class_info *c;
    for (int i = 0; (c = zo_class_at(kind, i)); i++)
        json_array_append_new(list, class_json(kind, c));
    return list;
}

/* What a layer takes, gives and costs; "" for other kinds. */
static char *describe_layer(const char *kind, const zo_class_info *c)
{
    zo_layer_form f;
    if (strcmp(kind, "layers") || !zo_layer_form_of(c->name, &f) || f.activation)
        return cli_strdup("");
    return cli_format("; gives %s; multiply-adds: %s%s%s%s%s", f.gives, f.cost,
                      *f.options ? "; options: " : "", f.options, *f.sites ? "; noise in " : "",
                      f.sites);
}

static char *describe(const char *kind, const zo_class_info *c)
{
    const char *uses = zo_uses_text(c->uses), *source = c->source ? c->source : "";
    char *layer = describe_layer(kind, c);
    char *text = cli_format("%s%s%s%s%s%s%s%s", c->summary, layer, *uses ? " [uses: " : "", uses,
                            *uses ? "]" : "", *source ? " (" : "", source, *source ? ")" : "");
    free(layer);
    return text;
}

static void print_kind(const char *kind, int width)
{
    const zo_class_info *c;
    int column = 8;
    for (int i = 0; (c = zo_class_at(kind, i)); i++) {
        if (cli_columns(c->name) + 2 > column) column = cli_columns(c->name) + 2;
    }
    printf("%s\n", kind);
    for (int i = 0; (c = zo_class_at(kind, i)); i++) {
        char *left = cli_format("  %s", c->name), *text = describe(kind, c);
        cli_row(stdout, width, column, left, text);
        free(left);
        free(text);
    }
}

static void print_layer(const zo_class_info *c, int width)
{
    zo_layer_form f;
    if (!zo_layer_form_of(c->name, &f)) return;
    if (*f.example) cli_row(stdout, width, 7, "word", f.example);
    if (*f.options) cli_row(stdout, width, 7, "options", f.options);
    cli_row(stdout, width, 7, "gives", f.gives);
    cli_row(stdout, width, 7, "cost", f.cost);
    if (*f.sites) cli_row(stdout, width, 7, "noise", f.sites);
}

static void print_class(const zo_class_info *c, const char *kind, int width)
{
    const char *uses = zo_uses_text(c->uses);
    cli_row(stdout, width, 7, "name", c->name);
    cli_row(stdout, width, 7, "kind", kind);
    cli_row(stdout, width, 7, "does", c->summary);
    if (*uses) cli_row(stdout, width, 7, "uses", uses);
    if (c->source && *c->source) cli_row(stdout, width, 7, "source", c->source);
    if (!strcmp(kind, "layers")) print_layer(c, width);
    if (!c->params || !c->params->name) return;
    printf("\nsettings (--set key=value), with their defaults:\n");
    cli_params_print(stdout, width, c);
}

/* "trainer" is as good as "trainers". */
static const char *find_kind(const char *word)
{
    const char *kind;
    size_t n = strlen(word);
    for (int k = 0; (kind = zo_kind_name(k)); k++) {
        if (!strcmp(kind, word)) return kind;
        bool singular = n + 1 == strlen(kind) || n + 2 == strlen(kind);
        if (singular && n > 3 && !strncmp(kind, word, n)) return kind;
    }
    return NULL;
}

static const char *kind_name(const void *unused, int i)
{
    (void)unused;
    return zo_kind_name(i);
}

static const char *class_name(const void *kind, int i)
{
    const zo_class_info *c = zo_class_at(kind, i);
    return c ? c->name : NULL;
}

static int unknown(const char *what, const char *word, const char *near, const char *list)
{
    if (near)
        return cli_fail(CLI_USAGE, "%s \"%s\" is not known: did you mean %s?", what, word, near);
    return cli_fail(CLI_USAGE, "%s \"%s\" is not known: 'zeroth list%s%s' shows them", what, word,
                    *list ? " " : "", list);
}

static int list_all(bool json, int width)
{
    json_t *all = json ? json_object() : NULL;
    const char *kind;
    for (int k = 0; (kind = zo_kind_name(k)); k++) {
        if (json) {
            json_object_set_new(all, kind, kind_json(kind));
            continue;
        }
        if (k) putchar('\n');
        print_kind(kind, width);
    }
    return !json || cli_json_print(stdout, all) ? CLI_DONE : CLI_FAILED;
}

static int list_kind(const char *kind, bool json, int width)
{
    if (!json) return print_kind(kind, width), CLI_DONE;
    json_t *object = json_object();
    json_object_set_new(object, kind, kind_json(kind));
    return cli_json_print(stdout, object) ? CLI_DONE : CLI_FAILED;
}

static int run(int argc, char **argv)
{
    list_options o = {0};
    cli_words words = {.names = "a KIND and a NAME", .least = 0, .most = 2};
    int width = cli_width(stdout);
    if (!cli_parse("list", options, argc, argv, &o, &words)) return CLI_USAGE;
    if (!words.n) return list_all(o.json, width);
    const char *kind = find_kind(words.word[0]);
    if (!kind)
        return unknown("kind", words.word[0], cli_nearest(words.word[0], kind_name, NULL), "");
    if (words.n == 1) return list_kind(kind, o.json, width);
    const zo_class_info *c = zo_class_find(kind, words.word[1]);
    if (!c) {
        const char *near = cli_nearest(words.word[1], class_name, kind);
        return unknown(kind, words.word[1], near, kind);
    }
    if (o.json) return cli_json_print(stdout, class_json(kind, c)) ? CLI_DONE : CLI_FAILED;
    print_class(c, kind, width);
    return CLI_DONE;
}

const cli_command cli_list_classes = {
    .name = "list",
    .usage = "[KIND [NAME]] [--json]",
    .summary = "show what can be named, and its settings",
    .options = options,
    .run = run,
};
