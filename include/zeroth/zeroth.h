/* zeroth: gradient-free deep learning and optimisation. This header includes all the others. */
#ifndef ZEROTH_ZEROTH_H
#define ZEROTH_ZEROTH_H

#include <zeroth/classes.h>
#include <zeroth/context.h>
#include <zeroth/net.h>
#include <zeroth/process.h>
#include <zeroth/run.h>
#include <zeroth/status.h>
#include <zeroth/task.h>
#include <zeroth/trainer.h>
#include <zeroth/version.h>

#endif
