#include <zeroth/status.h>

const char *zo_version(void) { return ZO_VERSION_STRING; }

const char *zo_status_name(zo_status status)
{
    switch (status) {
#define NAME(name, text)                                                                           \
    case ZO_##name: return #name;
        ZO_STATUS_MAP(NAME)
#undef NAME
    }
    return "?";
}

const char *zo_status_text(zo_status status)
{
    switch (status) {
#define TEXT(name, text)                                                                           \
    case ZO_##name: return text;
        ZO_STATUS_MAP(TEXT)
#undef TEXT
    }
    return "unknown status";
}
