# Part of the install script: the units, with the paths of this installation. One for /usr goes where the system's own
# units are, any other below its prefix.
set(CMAKE_INSTALL_FULL_BINDIR "${CMAKE_INSTALL_PREFIX}/bin")
set(CMAKE_INSTALL_FULL_DOCDIR "${CMAKE_INSTALL_PREFIX}/share/doc/ferry")
set(folder "${CMAKE_INSTALL_PREFIX}/lib/systemd/system")
if(FERRY_UNIT_FOLDER AND CMAKE_INSTALL_PREFIX STREQUAL "/usr")
  set(folder "${FERRY_UNIT_FOLDER}")
endif()
foreach(unit ferry-bridge.service ferry-worker@.service)
  configure_file("${CMAKE_CURRENT_LIST_DIR}/systemd/${unit}.in" "$ENV{DESTDIR}${folder}/${unit}" @ONLY)
  file(CHMOD "$ENV{DESTDIR}${folder}/${unit}" PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  message(STATUS "Installing: $ENV{DESTDIR}${folder}/${unit}")
endforeach()
