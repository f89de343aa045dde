#include "tools/json.h"
#include "tools/pipe_request.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::tools {
namespace {

template <class T>
T parsed(const std::string& line) {
  auto request = parse_pipe_request(line, 5000);
  EXPECT_TRUE(request.has_value()) << line << ": " << request.error().message;
  EXPECT_TRUE(std::holds_alternative<T>(request->what)) << line;
  return std::get<T>(request->what);
}

TEST(PipeRequest, AppendWithEveryField) {
  const auto append = parsed<PipeAppend>(
      R"({"id":1,"op":"append","group":3,"data":"text","producer":7,"sequence":1,)"
      R"("timeout_ms":2000,"node":2})");
  EXPECT_EQ(append.options.group, GroupId(3));
  EXPECT_EQ(append.options.producer, ProducerId(7));
  EXPECT_EQ(append.options.sequence, Sequence(1));
  EXPECT_EQ(append.options.timeout_ms, 2000u);
  EXPECT_EQ(append.options.node, NodeId(2));
  EXPECT_EQ(append.data, "text");
}

TEST(PipeRequest, AppendDefaults) {
  const auto append = parsed<PipeAppend>(R"({"op":"append","data":""})");
  EXPECT_EQ(append.options.group, GroupId(0));
  EXPECT_EQ(append.options.producer, kNoProducer);
  EXPECT_EQ(append.options.timeout_ms, 5000u);
  EXPECT_EQ(append.options.node, kNoNode);
  EXPECT_EQ(append.data, "");
}

TEST(PipeRequest, ProducerAndSequenceTake64Bits) {
  const auto append =
      parsed<PipeAppend>(R"({"op":"append","data":"x","producer":18446744073709551615,)"
                         R"("sequence":18446744073709551615})");
  EXPECT_EQ(append.options.producer.value(), ~std::uint64_t{0});
  EXPECT_EQ(append.options.sequence.value(), ~std::uint64_t{0});
}

TEST(PipeRequest, DataMayBeBase64OrEscaped) {
  EXPECT_EQ(parsed<PipeAppend>(R"({"op":"append","data_base64":"AP8="})").data,
            std::string("\x00\xFF", 2));
  EXPECT_EQ(parsed<PipeAppend>(R"({"op":"append","data":"\u00e4\n"})").data, "\xC3\xA4\n");
}

TEST(PipeRequest, ReadAndStatus) {
  const auto read = parsed<PipeRead>(
      R"({"id":2,"op":"read","group":1,"from":5,"count":100,"node":2,"timeout_ms":9,"wait_ms":3})");
  EXPECT_EQ(read.options.group, GroupId(1));
  EXPECT_EQ(read.options.from, Index(5));
  EXPECT_EQ(read.options.count_max, 100u);
  EXPECT_EQ(read.options.node, NodeId(2));
  EXPECT_EQ(read.options.timeout_ms, 9u);
  EXPECT_EQ(read.options.wait_ms, 3u);
  EXPECT_EQ(parsed<PipeRead>(R"({"op":"read"})").options.from, Index(1));
  EXPECT_EQ(parsed<PipeStatus>(R"({"op":"status","node":3})").node, NodeId(3));
}

TEST(PipeRequest, IdComesBackAsItWasAlsoWithAMistake) {
  for (const char* id : {"1", "\"a\"", "null", "[1,{\"b\":2}]", "1.5"}) {
    const std::string good = std::string(R"({"op":"read","id":)") + id + "}";
    const std::string bad = std::string(R"({"op":"raed","id":)") + id + "}";
    EXPECT_EQ(parse_pipe_request(good, 1)->id, Json::parse(id));
    EXPECT_EQ(parse_pipe_request(bad, 1).error().id, Json::parse(id));
  }
  EXPECT_TRUE(parse_pipe_request(R"({"op":"read"})", 1)->id.is_null());
}

TEST(PipeRequest, MistakesAreToldNotGuessed) {
  for (const char* line : {
           "",
           "{",
           "null",
           "[]",
           "\"append\"",
           "{}",
           R"({"op":7})",
           R"({"op":"append"})",
           R"({"op":"append","data":1})",
           R"({"op":"append","data":"a","data_base64":"YQ=="})",
           R"({"op":"append","data_base64":"YQ"})",
           R"({"op":"append","data":"a","producer":1})",
           R"({"op":"append","data":"a","sequence":1})",
           R"({"op":"append","data":"a","producer":0,"sequence":1})",
           R"({"op":"append","data":"a","producer":1,"sequence":0})",
           R"({"op":"append","data":"a","producer":-1,"sequence":1})",
           R"({"op":"append","data":"a","producer":18446744073709551616,"sequence":1})",
           R"({"op":"append","data":"a","producer":"1","sequence":1})",
           R"({"op":"append","data":"a","group":-1})",
           R"({"op":"append","data":"a","group":4294967296})",
           R"({"op":"append","data":"a","group":1.0})",
           R"({"op":"append","data":"a","timeout_ms":0})",
           R"({"op":"append","data":"a","node":0})",
           R"({"op":"append","data":"a","tiemout_ms":5})",
           "{\"op\":\"append\",\"data\":\"\xFF\"}",
           R"({"op":"append","data":"\ud800"})",
           R"({"op":"read","count":0})",
           R"({"op":"read","data":"x"})",
           R"({"op":"status"})",
           R"({"op":"read"} trailing)",
       }) {
    const auto request = parse_pipe_request(line, 5000);
    ASSERT_FALSE(request.has_value()) << line;
    EXPECT_NE(request.error().message, "") << line;
  }
}

}  // namespace
}  // namespace sluice::tools
