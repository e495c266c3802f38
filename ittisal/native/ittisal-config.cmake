# ittisal::ittisal is the shared library, ittisal::static the other.
get_filename_component(_ittisal_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET ittisal::ittisal)
  add_library(ittisal::ittisal SHARED IMPORTED)
  set_target_properties(ittisal::ittisal PROPERTIES
    IMPORTED_LOCATION "${_ittisal_prefix}/lib/libittisal.so"
    IMPORTED_SONAME "libittisal.so"
    INTERFACE_INCLUDE_DIRECTORIES "${_ittisal_prefix}/include")
  add_library(ittisal::static STATIC IMPORTED)
  set_target_properties(ittisal::static PROPERTIES
    IMPORTED_LOCATION "${_ittisal_prefix}/lib/libittisal.a"
    INTERFACE_LINK_LIBRARIES "m"
    INTERFACE_INCLUDE_DIRECTORIES "${_ittisal_prefix}/include")
endif()
unset(_ittisal_prefix)
