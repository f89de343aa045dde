#include "tools/svg_plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/tools/xml_check.h"
#include "tools/bench_report.h"

namespace sluice::tools {
namespace {

std::size_t occurrences(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(XmlCheck, SeesWhatIsNotWellFormed) {
  EXPECT_EQ(xml_problem("<?xml version=\"1.0\"?>\n<a b=\"1\"><c/>x &lt; y</a>\n"), "");
  for (const char* bad : {"<a>", "<a></b>", "<a/><b/>", "<a b=1/>", "<a b=\"1\" b=\"2\"/>",
                          "<a>&</a>", "<a>x < y</a>", "<a b=\"<\"/>", "x<a/>", "", "<a b=\"1/>"})
    EXPECT_NE(xml_problem(bad), "") << bad;
}

TEST(SvgPlot, IsWellFormedWhateverTheNames) {
  Plot plot;
  plot.title = "a < b & \"c\" > d\x01";
  plot.x.label = "<x>";
  plot.y.label = "y & z";
  plot.series.push_back({.name = "</svg>", .points = {{1, 2}, {3, 4}}});
  plot.marks.push_back({{3, 4}, "<&>"});
  const std::string svg = svg_of(plot);
  EXPECT_EQ(xml_problem(svg), "");
  EXPECT_NE(svg.find("a &lt; b &amp; &quot;c&quot; &gt; d<"), std::string::npos);
  EXPECT_EQ(occurrences(svg, "<polyline"), 1u);
}

TEST(SvgPlot, LeavesOutWhatCannotBeDrawn) {
  const double infinite = std::numeric_limits<double>::infinity();
  Plot plot;
  plot.y.logarithmic = true;
  plot.series.push_back(
      {.name = "s",
       .points = {{1, 1}, {2, 0}, {3, -1}, {std::nan(""), 1}, {4, infinite}, {5, 10}}});
  plot.marks.push_back({{1, 0}, "nowhere"});
  const std::string svg = svg_of(plot);
  EXPECT_EQ(xml_problem(svg), "");
  EXPECT_EQ(occurrences(svg, "<circle"), 2u);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(svg.find("inf"), std::string::npos);
}

TEST(SvgPlot, NothingOrOnePointIsStillAChart) {
  Plot plot;
  EXPECT_EQ(xml_problem(svg_of(plot)), "");
  plot.series.push_back({.name = "one", .points = {{7, 7}}});
  EXPECT_EQ(xml_problem(svg_of(plot)), "");
  plot.x.logarithmic = plot.y.logarithmic = true;
  EXPECT_EQ(xml_problem(svg_of(plot)), "");
  EXPECT_EQ(occurrences(svg_of(plot), "<circle"), 1u);
}

TEST(SvgPlot, TicksAreRoundAndFewAndInside) {
  for (const auto& [low, high] : {std::pair{0.0, 1.0},
                                  {0.0, 7.3},
                                  {13.0, 14.0},
                                  {0.0, 123'456.0},
                                  {-5.0, 5.0},
                                  {0.001, 0.0013}}) {
    const auto ticks = ticks_between(low, high, false);
    EXPECT_GE(ticks.size(), 2u) << low << " " << high;
    EXPECT_LE(ticks.size(), 11u) << low << " " << high;
    for (const PlotTick& tick : ticks) {
      EXPECT_GE(tick.at, low - 1e-9);
      EXPECT_LE(tick.at, high + 1e-9 * std::abs(high));
    }
  }
  const auto decades = ticks_between(0.1, 1000, true);
  ASSERT_EQ(decades.size(), 5u);
  EXPECT_EQ(decades.front().label, "0.1");
  EXPECT_EQ(ticks_between(1, 10, true).size(), 4u);  // 1, 2, 5, 10
  EXPECT_EQ(ticks_between(0, 40'000, false).back().label, "40k");
}

TEST(BenchPlot, EachNineHasItsTick) {
  BenchReport report;
  for (std::uint64_t i = 1; i <= 20'000; ++i) report.latency_ns.record(i * 1000);
  const Plot plot = bench_plot(report);
  std::string labels;
  for (const PlotTick& tick : plot.x.ticks) labels += tick.label + " ";
  EXPECT_EQ(labels, "0 50 90 99 99.9 99.99 ");
  ASSERT_EQ(plot.series.size(), 1u);
  EXPECT_DOUBLE_EQ(plot.series[0].points.back().y, 20);
  for (std::size_t i = 1; i < plot.series[0].points.size(); ++i)
    EXPECT_GE(plot.series[0].points[i].y, plot.series[0].points[i - 1].y);
  EXPECT_EQ(xml_problem(svg_of(plot)), "");
  EXPECT_EQ(xml_problem(svg_of(bench_plot(BenchReport()))), "");
}

}  // namespace
}  // namespace sluice::tools
