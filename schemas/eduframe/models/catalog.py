"""What is on offer: catalog products and their variants, courses, categories."""

from typing import Annotated

from pydantic import Field

from schemas.eduframe.models.column_types import (
    CustomFields,
    Date,
    Derived,
    Money,
    OneOf,
    ReferencesBy,
    Row,
    Unfollowed,
)
from schemas.eduframe.models.common import (
    CUSTOM,
    CUSTOM_ASSOCIATIONS,
    Avatar,
    CatalogProductId,
    CategoryId,
    CostScheme,
    CourseLocationId,
    CourseTabId,
    CourseVariantId,
    CreatedAt,
    Currency,
    CustomAssociations,
    EditionDescriptionSectionId,
    Id,
    LabelId,
    PlannedCourseType,
    UpdatedAt,
    deprecated,
)

Availability = Annotated[
    str,
    Derived(),
    OneOf(
        {
            "available": "there are places",
            "limited_availability": "there are few places left",
            "not_available": "there is no place left",
        }
    ),
]
ProductableType = Annotated[str, OneOf({"Course": "a course", "Program::Program": "a program"})]
VariantableType = Annotated[
    str, OneOf({"PlannedCourse": "a planned course", "Program::Edition": "a program edition"})
]

ProductCost = Annotated[
    Money | None,
    Field(
        description="The list price, without VAT (our reading), for what cost_scheme counts by; "
        "null where there is none."
    ),
]
IsPublished = Annotated[bool, Field(description="Whether the website shows it.")]
SignupUrl = Annotated[str, Field(description="Address of the page on which to sign up for it.")]
Slug = Annotated[str, Field(description="How it is called in web addresses; unique.")]


class CourseTabContent(Row):
    """What a catalog product says under one course tab."""

    id: Id
    course_tab_id: CourseTabId = Field(description="The tab under which it stands.")
    content: str | None = Field(description="The text, which may hold HTML.")


class CatalogProduct(Row):
    """A course or program as the catalog offers it; catalog_variants say when."""

    id: Id
    name: str = Field(description="What the catalog calls it.")
    slug: Slug
    label_ids: list[LabelId] = Field(description="The labels that catalog products bear.")
    cost_scheme: CostScheme
    cost: ProductCost
    currency: Currency
    productable_type: ProductableType = Field(description="What is sold: a course or a program.")
    productable_id: Annotated[
        int,
        ReferencesBy("productable_type", {"Course": "courses", "Program::Program": "programs"}),
    ] = Field(description="That course or program.")
    avatar: Avatar
    position: int = Field(description="Place among the products of the category.")
    conditions_or_default: str | None = Field(
        description="The product's own terms, or the educator's where it has none."
    )
    category_id: CategoryId = Field(description="The heading of the catalog that it stands under.")
    is_published: IsPublished
    show_on_website: bool = Field(
        description="Whether the website's lists have it; one can be published without."
    )
    signup_url: SignupUrl
    updated_at: UpdatedAt
    created_at: CreatedAt
    course_tab_contents: list[CourseTabContent] | None = Field(
        None, description="What products say under the course tabs."
    )
    custom: CustomFields | None = Field(None, description=CUSTOM)
    custom_associations: CustomAssociations | None = Field(None, description=CUSTOM_ASSOCIATIONS)


class EditionDescriptionSectionContent(Row):
    """What a catalog variant says in one description section."""

    edition_description_section_id: EditionDescriptionSectionId = Field(
        description="The heading under which it stands."
    )
    content: str | None = Field(description="The text, which may hold HTML.")


class CatalogVariantProperties(Row):
    """Place and time of what a catalog variant sells."""

    course_location_id: CourseLocationId | None = Field(
        description="Where a planned course is given; meetings may be elsewhere."
    )
    course_variant_id: CourseVariantId | None = Field(
        description="The form in which a planned course is given, such as evening."
    )
    end_date: Date | None = Field(description="The last day, where there is one.")
    start_date: Date | None = Field(description="The first day, where there is one.")
    type: PlannedCourseType | None


class CatalogVariant(Row):
    """A planned course or program edition as the catalog offers it: what orders are for."""

    id: Id
    product_id: CatalogProductId = Field(description="What it is a date or edition of.")
    name: str = Field(description="What the catalog calls it, often with its date.")
    sku: str | None = Field(None, description="Stock-keeping unit: the educator's own code.")
    cost_scheme: CostScheme
    cost: ProductCost
    currency: Currency
    variantable_type: VariantableType = Field(
        description="What is sold: a planned course or a program edition."
    )
    variantable_id: Annotated[
        int,
        ReferencesBy(
            "variantable_type",
            {"PlannedCourse": "planned_courses", "Program::Edition": "program_editions"},
        ),
    ] = Field(description="That planned course or program edition.")
    availability: Availability = Field(description="Whether there are places left, in a word.")
    available_places: Annotated[int, Derived()] = Field(
        description="How many places are left: a number, while planned_courses.available_places is "
        "yes or no. The API does not say what stands here where places are not limited."
    )
    is_published: IsPublished
    show_on_website: bool = Field(
        description="Whether the website's lists have it; one can be published without."
    )
    updated_at: UpdatedAt
    created_at: CreatedAt
    edition_description_section_contents: list[EditionDescriptionSectionContent] | None = Field(
        None, description="What variants say in the description sections."
    )
    properties: CatalogVariantProperties
    custom: CustomFields | None = Field(None, description=CUSTOM)
    custom_associations: CustomAssociations | None = Field(None, description=CUSTOM_ASSOCIATIONS)


class Category(Row):
    """A heading of the catalog; categories can stand under one another."""

    id: Id
    name: str = Field(description="The heading, as people read it.")
    position: int = Field(description="Place among the categories.")
    avatar: Avatar
    avatar_url: Avatar
    products_count: Annotated[int, Derived()] = deprecated("How many catalog products are in it.")
    courses_count: Annotated[int, Derived()] = deprecated("How many of them are courses.")
    children_count: Annotated[int, Derived()] = deprecated(
        "How many categories stand directly under this one."
    )
    slug: Slug
    description: str | None = Field(description="What the catalog says under the heading.")
    is_published: IsPublished
    meta_title: str | None = deprecated("Page title for search engines.")
    meta_description: str | None = deprecated("Page description for search engines.")
    parent_id: CategoryId | None = Field(description="The category above; null at the top.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class Course(Row):
    """A course, apart from when and where it is given."""

    id: Id
    position: int = Field(description="Place among the courses of the category.")
    starting_price: Annotated[Money | None, Derived()] = Field(
        description="The lowest price it is offered for, without VAT (our reading), in the "
        "educator's currency."
    )
    signup_url: SignupUrl
    slug: Slug
    slug_history: list[str] = Field(description="Slugs that courses had before.")
    avatar: Avatar
    avatar_url: Avatar
    avatar_thumb_url: str = Field(description="Address of the same picture, small.")
    conditions_or_default: str | None = Field(
        description="The course's own terms, or the educator's where it has none."
    )
    website_url: str | None = Field(description="Address of its page on the educator's website.")
    certificate_template_id: Annotated[
        int | None, Unfollowed("the API has no list of templates.")
    ] = Field(description="What its certificates are printed on.")
    category_id: CategoryId = Field(description="The heading of the catalog that it stands under.")
    name: str = Field(description="What it is called.")
    code: str = Field(description="The educator's own short code for it.")
    duration: str | None = Field(None, description="How long it takes, in words.")
    level: str | None = Field(None, description="How advanced it is, in words.")
    meta_title: str | None = deprecated("Page title for search engines.")
    meta_description: str | None = deprecated("Page description for search engines.")
    result: str | None = Field(None, description="What passing it gives, in words.")
    label_ids: list[LabelId] = Field(description="The labels that courses bear.")
    cost: Money | None = Field(
        description="The list price, without VAT (our reading), in the educator's currency, for "
        "what cost_scheme counts by; planned courses may have their own."
    )
    cost_scheme: CostScheme
    is_published: IsPublished
    updated_at: UpdatedAt
    created_at: CreatedAt
    custom: CustomFields = Field(description=CUSTOM)


class CourseTab(Row):
    """A heading under which courses describe themselves."""

    id: Id
    name: str = Field(description="The heading, as people read it.")
    position: int = Field(description="Place among the tabs.")


class CourseVariant(Row):
    """A form in which courses are given, such as evening or online."""

    id: Id
    name: str = Field(description="What the form is called.")
    updated_at: UpdatedAt
    created_at: CreatedAt


class EditionDescriptionSection(Row):
    """A heading under which catalog variants describe themselves."""

    id: Id
    name: str = Field(description="The heading, as people read it.")
