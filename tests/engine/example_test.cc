// engine/README.md shows how a program embeds a node. It is this code, and it works.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tests/engine/nodes.h"

sluice::Index append_line(sluice::Engine& engine, std::string_view line);

namespace sluice {
namespace {

std::string content(const char* path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(ExampleTest, TheReadmeShowsWhatIsCompiled) {
  const std::string example = content(SLUICE_EMBED_EXAMPLE);
  ASSERT_FALSE(example.empty());
  EXPECT_NE(content(SLUICE_ENGINE_README).find("```cpp\n" + example + "```\n"), std::string::npos);
}

TEST(ExampleTest, AppendsALine) {
  Nodes nodes({});
  await_leadership(*nodes.node(0));
  const Index index = append_line(*nodes.node(0), "a line");
  ASSERT_NE(index, Index(0));
  EXPECT_EQ(nodes.read_all(0).at(index.value()), "a line");
}

}  // namespace
}  // namespace sluice
