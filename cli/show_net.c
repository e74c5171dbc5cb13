/* The layers of a network. */
#include <stdlib.h>

#include "output.h"
#include "show.h"
#include "text.h"

static const cli_column columns[] = {
    {"", true, 3},          {"layer", false, 0},     {"inputs", true, 2},
    {"outputs", true, 4},   {"parameters", true, 6}, {"multiply-adds", true, 5},
    {"noise in", false, 1},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

static void layer_cells(const zo_layer_info *layer, int index, char **cells)
{
    char number[CLI_NUMBER];
    cells[0] = cli_format("%d", index);
    cells[1] = cli_strdup(layer->name);
    cells[2] = cli_strdup(cli_count(layer->inputs, number));
    cells[3] = layer->shape[0] * layer->shape[1] > 1
                   ? cli_format("%d x %d x %d", layer->shape[0], layer->shape[1], layer->shape[2])
                   : cli_strdup(cli_count(layer->outputs, number));
    cells[4] = cli_strdup(cli_count((double)layer->parameters, number));
    cells[5] = cli_strdup(cli_count(layer->cost, number));
    cells[6] = cli_strdup(layer->sites);
}

static void print_layers(const zo_net *net, int width)
{
    int n = zo_net_layers(net);
    char **cells = cli_alloc((size_t)(n + 1) * COLUMNS * sizeof *cells);
    zo_layer_info total = {.name = "total",
                           .inputs = zo_net_inputs(net),
                           .outputs = zo_net_outputs(net),
                           .parameters = zo_net_parameters(net),
                           .cost = zo_net_cost(net),
                           .sites = ""};
    for (int i = 0; i < n; i++) {
        zo_layer_info layer = {.name = "?", .sites = ""};
        zo_net_layer(net, i, &layer);
        layer_cells(&layer, i, cells + i * COLUMNS);
    }
    layer_cells(&total, n, cells + n * COLUMNS);
    cells[n * COLUMNS][0] = 0; /* the total has no place in the spec */
    cli_grid(stdout, width, columns, COLUMNS, cells, n + 1);
    for (int i = 0; i < (n + 1) * COLUMNS; i++) free(cells[i]);
    free(cells);
}

void show_add_net(json_t *json, const zo_net *net)
{
    json_t *layers = json_array();
    for (int i = 0; i < zo_net_layers(net); i++) {
        zo_layer_info layer;
        if (zo_net_layer(net, i, &layer)) continue;
        json_t *row = json_object();
        cli_json_text(row, "name", layer.name);
        cli_json_int(row, "inputs", layer.inputs);
        cli_json_int(row, "outputs", layer.outputs);
        json_object_set_new(row, "shape",
                            json_pack("[i,i,i]", layer.shape[0], layer.shape[1], layer.shape[2]));
        cli_json_int(row, "parameters", layer.parameters);
        cli_json_real(row, "cost", layer.cost);
        cli_json_text(row, "sites", layer.sites);
        json_array_append_new(layers, row);
    }
    cli_json_text(json, "net", zo_net_spec(net));
    cli_json_int(json, "inputs", zo_net_inputs(net));
    cli_json_int(json, "outputs", zo_net_outputs(net));
    cli_json_int(json, "parameters", zo_net_parameters(net));
    cli_json_real(json, "cost", zo_net_cost(net));
    json_object_set_new(json, "layers", layers);
}

void show_print_net(const zo_net *net, int width)
{
    cli_row(stdout, width, 5, "net", zo_net_spec(net));
    putchar('\n');
    print_layers(net, width);
}
