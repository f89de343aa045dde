# sluice_flatbuffers(<target> <file.fbs>...): generates <file>_generated.h next to the sources'
# mirror in the build tree, so that it is included as "wire/messages_generated.h".
find_program(FLATC flatc REQUIRED)

function(sluice_flatbuffers target)
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  set(out_dir ${PROJECT_BINARY_DIR}/generated/${folder})
  set(headers)
  foreach(schema ${ARGN})
    get_filename_component(stem ${schema} NAME_WE)
    set(header ${out_dir}/${stem}_generated.h)
    add_custom_command(
      OUTPUT ${header}
      COMMAND ${FLATC} --cpp --cpp-std c++17 --scoped-enums --gen-mutable -o ${out_dir}
              ${CMAKE_CURRENT_SOURCE_DIR}/${schema}
      DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${schema}
      COMMENT "flatc ${folder}/${schema}")
    list(APPEND headers ${header})
  endforeach()
  add_custom_target(${target}_schema DEPENDS ${headers})
  add_library(${target} INTERFACE)
  add_dependencies(${target} ${target}_schema)
  target_include_directories(${target} SYSTEM INTERFACE ${PROJECT_BINARY_DIR}/generated)
endfunction()
