# The Debian package, by `./dev package`: everything that `cmake --install` installs, in /usr, and what only a package
# has: /etc/ferry, the users of the programs, maintainer scripts.
set(maintainer "$ENV{DEBFULLNAME} <$ENV{DEBEMAIL}>")
if(maintainer STREQUAL " <>")
  set(maintainer "The authors of Ferry <ferry@ferry.invalid>")
endif()
set(FERRY_PACKAGER "${maintainer}" CACHE STRING "Who is named as the package's maintainer")

# What dpkg wants to find under /usr/share/doc.
string(TIMESTAMP package_date "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(deb/changelog.in ${CMAKE_CURRENT_BINARY_DIR}/changelog @ONLY)
execute_process(COMMAND gzip -9nf ${CMAKE_CURRENT_BINARY_DIR}/changelog)

macro(install_in_package)
  install(${ARGN} COMPONENT package EXCLUDE_FROM_ALL)
endmacro()
install_in_package(FILES ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz deb/copyright DESTINATION share/doc/ferry)
install_in_package(FILES deb/ferry.lintian RENAME ferry DESTINATION share/lintian/overrides)
install_in_package(FILES deb/ferry.sysusers RENAME ferry.conf DESTINATION lib/sysusers.d)
install_in_package(FILES deb/ferry.yaml DESTINATION /etc/ferry)
foreach(program bridge slack mail automation)
  install_in_package(DIRECTORY DESTINATION /etc/ferry/secrets-${program})
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};ferry;ALL;/;${CMAKE_BINARY_DIR};ferry;package;/")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_NAME ferry)
set(CPACK_PACKAGE_CONTACT "${FERRY_PACKAGER}")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "message-queue bridge: Qlik Cloud events, Kafka, people and systems")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "ferry-bridge takes signed webhooks of Qlik Cloud, and of any CloudEvents
sender, and publishes each event to its Kafka topic; what it has acknowledged
is in Kafka or on disk. ferry-slack, ferry-mail and ferry-automation read the
topics and send Slack messages and mails, start Qlik automations and call
other systems, each event once. ferry is the operator's command line.")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "prometheus, bash-completion")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
foreach(script conffiles postinst prerm postrm)
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_SOURCE_DIR}/deb/${script})
endforeach()
include(CPack)
