/* The files of bridge/console/pages, compiled in by CMake (cmake/embed.cmake). */
#ifndef FERRY_BRIDGE_CONSOLE_ASSET_H
#define FERRY_BRIDGE_CONSOLE_ASSET_H

#include "core/slice.h"

struct ferry_asset {
    const char *name; /* "console.html"; NULL ends the list */
    struct ferry_slice bytes;
};
extern const struct ferry_asset ferry_console_assets[];

#endif
