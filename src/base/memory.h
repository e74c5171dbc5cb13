/* Main memory that is there for this process. */
#ifndef ZO_BASE_MEMORY_H
#define ZO_BASE_MEMORY_H

#include <stdint.h>

/* Bytes that can still be taken without anything being swapped or killed: what the machine has available, and what every control group that
 * this process is in leaves of its limit, pages of files that nobody uses not counted as taken. 0: unknown. */
int64_t zo_memory_available(void);
/* The same of the files below `proc` and `groups` instead of /proc and /sys/fs/cgroup. */
int64_t zo_memory_available_of(const char *proc, const char *groups);

#endif
