# Fuzz targets: fuzz/fuzz_NAME.c defines LLVMFuzzerTestOneInput, its corpus is fuzz/corpus/NAME/.
# With ZO_FUZZ libFuzzer drives them; otherwise fuzz/driver.c replays files.

add_custom_target(fuzzers)
file(GLOB _files CONFIGURE_DEPENDS fuzz/fuzz_*.c)
foreach(_file ${_files})
  get_filename_component(_name ${_file} NAME_WE)
  list(APPEND ZO_FUZZ_TARGETS ${_name})
  add_executable(${_name} ${_file})
  set_target_properties(${_name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/fuzz)
  target_include_directories(${_name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${_name} PRIVATE zeroth_internal)
  if(ZO_FUZZ)
    target_link_options(${_name} PRIVATE -fsanitize=fuzzer)
  else()
    target_sources(${_name} PRIVATE fuzz/driver.c)
  endif()
  add_dependencies(fuzzers ${_name})
endforeach()
