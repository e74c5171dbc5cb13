/* Showing classes and their parameters, from the library's tables. */
#ifndef CLI_CLASSES_H
#define CLI_CLASSES_H

#include <jansson.h>
#include <stdio.h>
#include <zeroth/zeroth.h>

/* One line per parameter: name=default, what it is, its range or choices. */
void cli_params_print(FILE *f, int width, const zo_class_info *of);
/* The same as [{"name","type","default","min","max","choices","help"}]. */
json_t *cli_params_json(const zo_class_info *of);
/* Whether `of` has a parameter of that name. NULL is legal. */
bool cli_class_has(const zo_class_info *of, const char *key);

#endif
