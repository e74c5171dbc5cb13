# Tests, examples and benchmarks.
#
#   tests/test_*.c     a cmocka program each, linked with everything that is internal
#   tests/test_*.py    a script each
#   tests/long_*       the same, run by `make test-long` only
#   examples/*.c       what a user would build: public headers and the shared library
#   bench/*.c          built, not run
#
# A line "labels: WORD ..." near the top of a test adds labels: `threads` runs it under
# ThreadSanitizer, `serial` runs it alone, `plain` keeps it out of sanitizer builds. Exit status 77
# means skipped.

pkg_check_modules(CMOCKA IMPORTED_TARGET cmocka)
if(NOT CMOCKA_FOUND)
  message(FATAL_ERROR "cmocka not found: run tools/setup test, or configure with -DZO_TESTS=OFF")
endif()
find_program(ZO_PYTHON3 python3 PATHS /usr/bin NO_DEFAULT_PATH)
find_program(ZO_PYTHON3 python3 REQUIRED)

set(_timeout 300)
if(ZO_SANITIZE)
  set(_timeout 900)
endif()
set(_environment
  "ZEROTH=$<TARGET_FILE:zeroth>"
  "ZO_SOURCE_DIR=${PROJECT_SOURCE_DIR}"
  "ZO_BINARY_DIR=${PROJECT_BINARY_DIR}"
  "ZO_PYTHON_ENV=${PROJECT_SOURCE_DIR}/build/python/bin/python"
  "PYTHONDONTWRITEBYTECODE=1"
  "ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:allocator_may_return_null=1"
  "UBSAN_OPTIONS=print_stacktrace=1"
  "TSAN_OPTIONS=halt_on_error=1")

# The labels a file asks for, with those given.
function(zo_labels out file)
  file(STRINGS ${file} _line LIMIT_COUNT 1 LIMIT_INPUT 1000 REGEX "labels: ")
  string(REGEX MATCH "labels: ([a-z ]+)" _match "${_line}")
  string(STRIP "${CMAKE_MATCH_1}" _labels)
  string(REPLACE " " ";" _labels "${_labels}")
  if(file MATCHES "/long_[^/]*$")
    list(APPEND _labels long)
  endif()
  set(${out} ${ARGN} ${_labels} PARENT_SCOPE)
endfunction()

# zo_test(name "labels" command...)
function(zo_test name labels)
  add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  set_tests_properties(${name} PROPERTIES
    LABELS "${labels}" ENVIRONMENT "${_environment}" TIMEOUT ${_timeout} SKIP_RETURN_CODE 77)
  if("long" IN_LIST labels)
    set_tests_properties(${name} PROPERTIES TIMEOUT 3600)
  endif()
  if("serial" IN_LIST labels)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
endfunction()

# zo_program(name folder source): linked with everything that is internal
function(zo_program name folder source)
  add_executable(${name} ${source})
  set_target_properties(${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/${folder})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_include_directories(${name} SYSTEM PRIVATE ${RANDOM123_INCLUDE_DIR})
  target_link_libraries(${name} PRIVATE zeroth_internal)
  target_compile_definitions(${name} PRIVATE
    ZO_SOURCE_DIR="${PROJECT_SOURCE_DIR}" ZO_BINARY_DIR="${PROJECT_BINARY_DIR}")
endfunction()

file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/tests)

file(GLOB _files CONFIGURE_DEPENDS tests/test_*.c tests/long_*.c)
foreach(_file ${_files})
  get_filename_component(_name ${_file} NAME_WE)
  zo_labels(_labels ${_file} unit)
  if(NOT (ZO_SANITIZE AND "plain" IN_LIST _labels))
    zo_program(${_name} tests ${_file})
    target_link_libraries(${_name} PRIVATE PkgConfig::CMOCKA)
    zo_test(${_name} "${_labels}" $<TARGET_FILE:${_name}>)
  endif()
endforeach()

# tests/children/*.c: programs that tests start as children, without sanitizers, whose own memory
# would be in the way of limits and whose reports would hide a crash.
file(GLOB _files CONFIGURE_DEPENDS tests/children/*.c)
foreach(_file ${_files})
  get_filename_component(_name ${_file} NAME_WE)
  add_executable(child_${_name} ${_file})
  set_target_properties(child_${_name} PROPERTIES
    OUTPUT_NAME ${_name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/children)
  target_compile_definitions(child_${_name} PRIVATE _GNU_SOURCE)
  target_compile_options(child_${_name} PRIVATE -fno-sanitize=all)
  target_link_options(child_${_name} PRIVATE -fno-sanitize=all)
endforeach()
foreach(_name test_process test_process_failures test_process_host)
  if(TARGET ${_name})
    add_dependencies(${_name} child_child)
  endif()
endforeach()

file(GLOB _files CONFIGURE_DEPENDS tests/test_*.py tests/long_*.py)
foreach(_file ${_files})
  get_filename_component(_name ${_file} NAME_WE)
  zo_labels(_labels ${_file} script)
  if(NOT (ZO_SANITIZE AND "plain" IN_LIST _labels))
    if(TEST ${_name})
      string(APPEND _name _py)
    endif()
    zo_test(${_name} "${_labels}" ${ZO_PYTHON3} ${_file})
  endif()
endforeach()

# ---- what the tests of durability preload: recorded and failing files, other clocks ----
if(NOT ZO_SANITIZE)
  foreach(_shim record fault clock)
    add_library(shim_${_shim} MODULE tests/shim/${_shim}.c)
    set_target_properties(shim_${_shim} PROPERTIES
      PREFIX "" LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    target_compile_definitions(shim_${_shim} PRIVATE _GNU_SOURCE)
    target_link_libraries(shim_${_shim} PRIVATE Threads::Threads ${CMAKE_DL_LIBS})
  endforeach()
endif()

# A sanitizer that is not in force would pass everything: these programs must be caught.
if(ZO_SANITIZE)
  add_executable(canary tests/canary/canary.c)
  target_link_libraries(canary PRIVATE Threads::Threads)
  zo_test(canary "script;unit;threads" ${ZO_PYTHON3} ${PROJECT_SOURCE_DIR}/tests/canary/canary.py
    $<TARGET_FILE:canary> ${ZO_SANITIZE})
endif()

file(GLOB _files CONFIGURE_DEPENDS examples/*.c)
foreach(_file ${_files})
  get_filename_component(_name ${_file} NAME_WE)
  zo_labels(_labels ${_file} example)
  add_executable(example_${_name} ${_file})
  set_target_properties(example_${_name} PROPERTIES
    OUTPUT_NAME ${_name} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/examples)
  target_link_libraries(example_${_name} PRIVATE zeroth::zeroth m)
  zo_test(example_${_name} "${_labels}" $<TARGET_FILE:example_${_name}>)
  set_tests_properties(example_${_name} PROPERTIES WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endforeach()

add_custom_target(benchmarks)
file(GLOB _files CONFIGURE_DEPENDS bench/*.c)
foreach(_file ${_files})
  get_filename_component(_name ${_file} NAME_WE)
  zo_program(bench_${_name} bench ${_file})
  set_target_properties(bench_${_name} PROPERTIES OUTPUT_NAME ${_name})
  add_dependencies(benchmarks bench_${_name})
endforeach()

# The corpus of each fuzz target is replayed, with any compiler.
foreach(_fuzz ${ZO_FUZZ_TARGETS})
  string(REGEX REPLACE "^fuzz_" "" _name ${_fuzz})
  zo_test(${_fuzz} "fuzz;unit" $<TARGET_FILE:${_fuzz}> ${PROJECT_SOURCE_DIR}/fuzz/corpus/${_name})
endforeach()
