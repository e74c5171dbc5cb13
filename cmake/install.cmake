# Headers, both libraries, the command, a pkg-config file and a CMake package; all relocatable.

install(DIRECTORY include/zeroth DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")
install(TARGETS zeroth_shared EXPORT zerothTargets)
install(TARGETS zeroth_internal zeroth)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/zeroth)

set(_package ${CMAKE_INSTALL_LIBDIR}/cmake/zeroth)
install(EXPORT zerothTargets NAMESPACE zeroth:: DESTINATION ${_package})
configure_package_config_file(cmake/zerothConfig.cmake.in zerothConfig.cmake
  INSTALL_DESTINATION ${_package})
write_basic_package_version_file(zerothConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
  ${PROJECT_BINARY_DIR}/zerothConfig.cmake ${PROJECT_BINARY_DIR}/zerothConfigVersion.cmake
  DESTINATION ${_package})

file(RELATIVE_PATH ZO_PC_PREFIX
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" ZO_PC_PREFIX "${ZO_PC_PREFIX}")
configure_file(cmake/zeroth.pc.in zeroth.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/zeroth.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
