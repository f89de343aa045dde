# The simulator's own parts are tested, too: a disk that never loses anything finds nothing.
sluice_test(sim_model_test NO_PCH LIBS sluice_sim_world
  SOURCES model_test.cc network_test.cc disk_test.cc shrink.cc)
