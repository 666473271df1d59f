global using HeadScope.Tests;
global using Xunit;
