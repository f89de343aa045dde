#include "tools/segment_watch.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace sluice::tools {
namespace {

TEST(SegmentWatch, AFileThatIsASegmentAgainWasRecycled) {
  SegmentWatch watch({"a"});
  watch.see(0, {{10, "1.segment"}, {11, "2.segment"}});
  EXPECT_FALSE(watch.all_recycled());
  watch.see(0, {{11, "2.segment"}, {12, "3.segment"}});  // 10 is a spare
  EXPECT_FALSE(watch.all_recycled());
  watch.see(0, {{12, "3.segment"}, {10, "4.segment"}});  // prepared, not yet in use
  EXPECT_FALSE(watch.all_recycled());
  watch.see(0, {{10, "4.segment"}, {11, "5.segment"}});
  EXPECT_TRUE(watch.all_recycled());
}

TEST(SegmentWatch, AllDirectoriesCount) {
  SegmentWatch watch({"a", "b"});
  watch.see(0, {{10, "1.segment"}});
  watch.see(0, {{10, "2.segment"}, {11, "3.segment"}});
  EXPECT_FALSE(watch.all_recycled());
  watch.see(1, {{10, "1.segment"}});
  watch.see(1, {{10, "2.segment"}, {11, "3.segment"}});
  EXPECT_TRUE(watch.all_recycled());
}

TEST(SegmentWatch, LooksAtRealFiles) {
  char path[] = "/tmp/sluice-watch-XXXXXX";
  const std::string directory = ::mkdtemp(path);
  SegmentWatch watch({directory});
  watch.look();
  EXPECT_FALSE(watch.all_recycled());
  std::ofstream(directory + "/1.segment") << "x";
  std::ofstream(directory + "/spare-1") << "x";
  watch.look();
  EXPECT_FALSE(watch.all_recycled());
  std::filesystem::rename(directory + "/1.segment", directory + "/2.segment");
  std::filesystem::rename(directory + "/spare-1", directory + "/3.segment");
  watch.look();
  EXPECT_TRUE(watch.all_recycled());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace sluice::tools
