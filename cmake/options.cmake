# Flags that every target of the project gets.
add_library(sluice_options INTERFACE)
target_include_directories(sluice_options INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(sluice_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual -Werror=return-type -Werror=unused-result
  -fno-omit-frame-pointer)

if(SLUICE_SANITIZE)
  # Line numbers are all that a report needs, and a file compiles in two thirds of the time.
  set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O1 -g1")
endif()
if(SLUICE_SANITIZE STREQUAL "address")
  target_compile_options(sluice_options INTERFACE
    -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_link_options(sluice_options INTERFACE -fsanitize=address,undefined)
elseif(SLUICE_SANITIZE STREQUAL "thread")
  target_compile_options(sluice_options INTERFACE -fsanitize=thread)
  target_link_options(sluice_options INTERFACE -fsanitize=thread)
elseif(SLUICE_SANITIZE)
  message(FATAL_ERROR "SLUICE_SANITIZE must be empty, 'address' or 'thread'")
endif()
