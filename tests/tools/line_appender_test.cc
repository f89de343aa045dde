#include "tools/line_appender.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/tools/fake_client.h"

namespace sluice::tools {
namespace {

/// A cluster of the simplest kind: one log, producers in order without gaps, a largest entry.
class TinyCluster {
 public:
  static constexpr std::size_t kEntryBytesMax = 10;

  client::AppendOutcome append(const FakeClient::Append& entry) {
    auto [producer, is_new] =
        next_.try_emplace(entry.options.producer.value(), entry.options.sequence);
    if (entry.options.sequence != producer->second && !is_new) {
      client::AppendOutcome gap = refused_with(Errc::kSequenceGap);
      gap.expected = producer->second;
      return gap;
    }
    if (entry.data.size() > kEntryBytesMax) return refused_with(Errc::kTooLarge);
    producer->second = producer->second.next();
    log.push_back(entry.data);
    return acknowledged_at(log.size());
  }
  std::vector<std::string> log;

 private:
  std::map<std::uint64_t, Sequence> next_;
};

class LineAppenderTest : public testing::Test {
 protected:
  LineAppender make(LineAppender::Options options = {}) {
    return {options, [this] { return ++random_; },
            [this](std::uint64_t line, const client::AppendOutcome& outcome) {
              failed_.emplace(line, outcome.code);
            }};
  }
  /// Lets the cluster answer everything that was asked, in order.
  void answer(LineAppender& lines) {
    for (; !client_.appends.empty(); client_.appends.pop_front())
      lines.on_append(client_.appends.front().tag, cluster_.append(client_.appends.front()));
  }
  void run(LineAppender& lines) {
    while (!lines.idle()) {
      lines.submit(client_);
      answer(lines);
    }
  }

  std::uint64_t random_ = 0;
  FakeClient client_;
  TinyCluster cluster_;
  std::map<std::uint64_t, Errc> failed_;
};

TEST_F(LineAppenderTest, LinesLandInOrderWithTheirSequences) {
  LineAppender lines = make();
  for (std::uint64_t i = 1; i <= 5; ++i) lines.add(i, std::to_string(i));
  lines.submit(client_);
  ASSERT_EQ(client_.appends.size(), 5u);
  EXPECT_NE(client_.appends.front().options.producer, kNoProducer);
  for (std::uint64_t i = 0; i < 5; ++i)
    EXPECT_EQ(client_.appends[i].options.sequence, Sequence(i + 1));
  run(lines);
  EXPECT_EQ(cluster_.log, (std::vector<std::string>{"1", "2", "3", "4", "5"}));
  EXPECT_EQ(lines.acknowledged(), 5u);
  EXPECT_EQ(lines.last_index(), Index(5));
}

TEST_F(LineAppenderTest, ALineThatIsTooLargeIsReportedAndTheOthersGoOnInOrder) {
  LineAppender lines = make();
  const std::string big(11, 'x');
  std::uint64_t number = 0;
  for (const std::string& text : {std::string("a"), big, std::string("b"), std::string("c"), big,
                                  std::string(""), std::string("d")})
    lines.add(++number, text);
  run(lines);
  EXPECT_EQ(cluster_.log, (std::vector<std::string>{"a", "b", "c", "", "d"}));
  EXPECT_EQ(failed_, (std::map<std::uint64_t, Errc>{{2, Errc::kTooLarge}, {5, Errc::kTooLarge}}));
  EXPECT_EQ(lines.acknowledged(), 5u);
}

TEST_F(LineAppenderTest, NothingNewIsSentWhileAHoleIsOpen) {
  LineAppender lines = make();
  lines.add(1, "a");
  lines.add(2, "b");
  lines.submit(client_);
  lines.on_append(client_.appends[0].tag, refused_with(Errc::kTooLarge));
  lines.add(3, "c");
  lines.submit(client_);
  EXPECT_EQ(client_.appends.size(), 2u);  // "b" may still land under the old producer
  lines.on_append(client_.appends[1].tag, refused_with(Errc::kSequenceGap));
  lines.submit(client_);
  ASSERT_EQ(client_.appends.size(), 4u);
  EXPECT_EQ(client_.appends[2].data, "b");
  EXPECT_EQ(client_.appends[3].data, "c");
  EXPECT_NE(client_.appends[2].options.producer, client_.appends[0].options.producer);
  EXPECT_EQ(client_.appends[2].options.sequence, Sequence(1));
}

TEST_F(LineAppenderTest, AnUnknownLineIsReportedAndNeverSentAgain) {
  LineAppender lines = make();
  lines.add(1, "a");
  lines.submit(client_);
  lines.on_append(client_.appends[0].tag, unknown_with(Errc::kTimeout));
  lines.submit(client_);
  EXPECT_EQ(client_.appends.size(), 1u);
  EXPECT_TRUE(lines.idle());
  EXPECT_EQ(failed_, (std::map<std::uint64_t, Errc>{{1, Errc::kTimeout}}));
}

TEST_F(LineAppenderTest, BoundsOnLinesAndOnBytes) {
  LineAppender lines = make({GroupId(0), 5000, /*lines_max=*/3, /*bytes_max=*/100});
  for (std::uint64_t i = 1; i <= 3; ++i) {
    EXPECT_TRUE(lines.has_room());
    lines.add(i, "x");
  }
  EXPECT_FALSE(lines.has_room());
  run(lines);
  EXPECT_TRUE(lines.has_room());
  lines.add(4, std::string(100, 'x'));
  EXPECT_FALSE(lines.has_room());
}

TEST_F(LineAppenderTest, SlotsAreReused) {
  LineAppender lines = make();
  std::set<std::uint64_t> tags;
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    lines.add(i, "x");
    lines.submit(client_);
    tags.insert(client_.appends.front().tag);
    answer(lines);
  }
  EXPECT_EQ(tags.size(), 1u);
}

}  // namespace
}  // namespace sluice::tools
