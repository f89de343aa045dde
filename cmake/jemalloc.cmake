# sluice_jemalloc: links jemalloc into a program. Nothing calls it by name, so the linker would leave
# it out where --as-needed is the default. Sanitizers bring an allocator of their own.
add_library(sluice_jemalloc INTERFACE)
if(NOT SLUICE_SANITIZE)
  pkg_check_modules(JEMALLOC REQUIRED jemalloc)
  target_link_libraries(sluice_jemalloc INTERFACE
    -Wl,--push-state,--no-as-needed ${JEMALLOC_LINK_LIBRARIES} -Wl,--pop-state)
endif()
